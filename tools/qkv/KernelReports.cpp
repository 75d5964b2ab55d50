// Numbers as people read them, kernels as JSON.
#include "tools/qkv/KernelReports.h"

#include "tools/benchmark/Peaks.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <initializer_list>

namespace qkv::driver {
namespace {

struct Unit {
  double size;
  const char *name;
};

std::string scaled(double value, std::initializer_list<Unit> units) {
  const Unit *unit = units.begin();
  for (const Unit &one : units)
    if (value >= one.size)
      unit = &one;
  char text[64];
  double shown = value / unit->size;
  int digits = shown >= 100 || shown == 0 ? 0 : shown >= 10 ? 1 : 2;
  snprintf(text, sizeof text, "%.*f %s", digits, shown, unit->name);
  return text;
}

} // namespace

double Roofline::seconds(double work, double bytes) const {
  return std::max(flops > 0 ? work / flops : 0, bandwidth > 0 ? bytes / bandwidth : 0);
}

bool Roofline::boundByMemory(double work, double bytes) const {
  return bytes * flops > work * bandwidth;
}

Roofline measuredRoofline(int lanes, int threads) {
  Roofline roofline;
  roofline.flops = bench::peakFlops(std::min(lanes, bench::widestLanes())) * threads;
  roofline.bandwidth = bench::readBandwidth() * threads;
  return roofline;
}

nlohmann::json kernelJson(const KernelReport &kernel, const std::string &file) {
  nlohmann::json out{{"name", kernel.name},
                     {"kind", kernel.kind},
                     {"equations", nlohmann::json::array()},
                     {"form", kernel.form},
                     {"why", kernel.why},
                     {"times", std::llround(kernel.times)},
                     // Counts are whole; doubles hold more of them than integers do.
                     {"flops", std::llround(kernel.flops)},
                     {"bytes", std::llround(kernel.bytes)}};
  for (const KernelReport::Equation &equation : kernel.equations)
    out["equations"].push_back(
        {{"name", equation.name},
         {"line", equation.place.line},
         {"file", equation.place.file.empty() ? file : equation.place.file}});
  out["alternatives"] = nlohmann::json::array();
  for (const KernelReport::Alternative &other : kernel.alternatives)
    out["alternatives"].push_back({{"form", other.form},
                                   {"flops", std::llround(other.flops)},
                                   {"bytes", std::llround(other.bytes)}});
  return out;
}

std::string flopsText(double flops) {
  return scaled(flops,
                {{1, "FLOP"}, {1e3, "kFLOP"}, {1e6, "MFLOP"}, {1e9, "GFLOP"}, {1e12, "TFLOP"}});
}

std::string bytesText(double bytes) {
  return scaled(bytes, {{1, "B"}, {1e3, "kB"}, {1e6, "MB"}, {1e9, "GB"}});
}

std::string secondsText(double seconds) {
  return scaled(seconds, {{1e-9, "ns"}, {1e-6, "us"}, {1e-3, "ms"}, {1, "s"}});
}

std::string equationsText(const KernelReport &kernel, const std::string &file) {
  std::string text;
  for (const KernelReport::Equation &equation : kernel.equations) {
    text += (text.empty() ? "" : ", ") + equation.name;
    if (const Place &place = equation.place; place.line) {
      bool own = place.file.empty() || place.file == file;
      text += (own ? " (line " : " (" + place.file + ":") + std::to_string(place.line) + ")";
    }
  }
  return text;
}

} // namespace qkv::driver
