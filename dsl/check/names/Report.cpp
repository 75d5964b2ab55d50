// How deep an elaboration may be (G9).
#include "dsl/check/names/Report.h"

namespace qkv::sema {

Report::Level::Level(Report &report, Span at) : report_(report), ok_(++report.level_ <= maxLevels) {
  if (!ok_)
    report.errorTooDeep(at,
                        "definitions and calls follow from one another more than " +
                            std::to_string(maxLevels) + " levels deep here",
                        "G9");
}

} // namespace qkv::sema
