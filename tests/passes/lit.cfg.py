# One file a pass, named as it is; %opt runs qkv-opt.
import os

import lit.formats

config.name = "qkv-passes"
config.test_format = lit.formats.ShTest(True)
config.suffixes = [".mlir"]
config.excludes = ["numerics"]
config.test_source_root = os.path.dirname(__file__)
config.environment["PATH"] = os.pathsep.join(
    [config.qkv_tools, config.llvm_tools, os.environ["PATH"]])
if "QKV_PLANTED" in os.environ:  # tests/faults: which fault is on
    config.environment["QKV_PLANTED"] = os.environ["QKV_PLANTED"]
config.substitutions.append(("%opt", "qkv-opt"))
config.substitutions.append(("%numerics", os.path.join(config.test_source_root, "numerics")))
