// The tree and the diagnostics of a file, to look at by hand.
#include "Tree.h"
#include "dsl/syntax/Formatter.h"
#include "dsl/syntax/Parser.h"

#include <iostream>

int main(int argc, char **argv) {
  qkv::Sources sources;
  std::string error;
  const qkv::Source *source = sources.open(argc > 1 ? argv[1] : "-", error);
  if (!source) {
    std::cerr << error << '\n';
    return 2;
  }
  qkv::Diagnostics diagnostics;
  if (argc > 2) {
    std::cout << qkv::format(*source, diagnostics).value_or("");
  } else {
    std::cout << qkv::test::tree(qkv::parse(*source, diagnostics));
  }
  diagnostics.render(std::cerr, false);
  return diagnostics.hasErrors();
}
