// What can be measured in this process. In: how to open it, as JSON. Out: calls, each the same
// work.
#pragma once

#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <string>

namespace qkv::bench {

class Contender {
public:
  virtual ~Contender() = default;
  /// One call. False with `error` set on failure.
  virtual bool call(std::string &error) = 0;
  /// What a call does, where that is known here: FLOPs or bytes; else 0.
  virtual double work() const { return 0; }
};

/// By the key `kind`:
///
///   model   `library` (a shared library that qkv built), `prefix` of its functions, `weights` (a
///           path or null), `sizes`, `inputs` and `results` (`type`, `count`; inputs also `low`,
///           `high` and `steps` for ints), `last`: NAME_run_last in the place of NAME_run
///   steps   as model, and `sequences` that stand behind `at` positions: a call is `steps` steps of
///           `rows` positions of all of them, and the way back; `stream`: the number of the
///           stream's size among `sizes`, `together`: positions that inputs and results have room
///           for
///   plugin  `library` (peers/Plugin.h), `numbers`
///   fma     `lanes`, `rounds`: multiply-adds in registers
///   read    `bytes`: memory read once
///
/// Null with `error` set where that cannot be.
std::unique_ptr<Contender> openContender(const nlohmann::json &how, std::string &error);

} // namespace qkv::bench
