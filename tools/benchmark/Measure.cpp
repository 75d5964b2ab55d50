// qkv-measure: the process in which everything native is measured, so that references and models
// meet on the same core in the same minute.
//
// In: a JSON object a line on standard input. Out: one a line on standard output.
//
//   {"do": "open", "name": "a", "kind": ...}     Contender.h   -> {}
//   {"do": "run", "name": "a", "warm": 1, "calls": 5}          -> {"seconds": [...], "work": 0}
//   {"do": "close", "name": "a"}                               -> {}
//   {"do": "lanes"}                              f32 lanes     -> {"lanes": 16}
//
// What failed is {"error": text}. Nothing runs between two lines: it waits.
#include "tools/benchmark/Contender.h"
#include "tools/benchmark/Peaks.h"

#include <chrono>
#include <iostream>
#include <map>
#include <nlohmann/json.hpp>

using namespace qkv::bench;
using nlohmann::json;

namespace {

std::map<std::string, std::unique_ptr<Contender>> contenders;

json run(Contender &contender, int warm, int calls) {
  std::string error;
  json seconds = json::array();
  for (int i = 0; i < warm + calls; ++i) {
    auto started = std::chrono::steady_clock::now();
    if (!contender.call(error))
      return {{"error", error}};
    if (i >= warm)
      seconds.push_back(
          std::chrono::duration<double>(std::chrono::steady_clock::now() - started).count());
  }
  return {{"seconds", seconds}, {"work", contender.work()}};
}

json answer(const json &request) {
  std::string what = request.at("do");
  if (what == "lanes")
    return {{"lanes", widestLanes()}};
  std::string name = request.at("name");
  if (what == "open") {
    std::string error;
    auto contender = openContender(request, error);
    if (!contender)
      return {{"error", error}};
    contenders[name] = std::move(contender);
    return json::object();
  }
  auto found = contenders.find(name);
  if (found == contenders.end())
    return {{"error", "there is no " + name}};
  if (what == "run")
    return run(*found->second, request.value("warm", 1), request.value("calls", 1));
  if (what == "close") {
    contenders.erase(found);
    return json::object();
  }
  return {{"error", "cannot " + what}};
}

} // namespace

int main() {
  std::string line;
  while (std::getline(std::cin, line)) {
    json said;
    try {
      said = answer(json::parse(line));
    } catch (const std::exception &error) {
      said = {{"error", error.what()}};
    }
    std::cout << said.dump(-1, ' ', false, json::error_handler_t::replace) << std::endl;
  }
}
