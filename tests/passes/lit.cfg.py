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
config.substitutions.append(("%opt", "qkv-opt"))
config.substitutions.append(("%numerics", os.path.join(config.test_source_root, "numerics")))
