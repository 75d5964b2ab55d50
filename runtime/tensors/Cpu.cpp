// In: names of CPU features. Out: the ones this CPU lacks. Holds: the CPU is asked once a call (a
// virtual machine traps each question); reading /proc/cpuinfo, slow on large machines, is the last
// resort.
#include "runtime/tensors/Cpu.h"

#include "runtime/File.h"

#include <fcntl.h>
#include <string_view>
#include <unistd.h>
#if defined(__x86_64__)
#include <cpuid.h>
#endif

namespace qkv::rt {
namespace {

#if defined(__x86_64__)
enum Word { L1C, L1D, L7B, L7C, L7D, L71A, X1C, XD1A, Words };
/// Registers that the operating system must save: none, AVX, AVX-512, AMX.
enum State : uint8_t { Plain, Avx, Avx512, Amx };

struct Feature {
  const char *name; // without _ . -
  Word word;
  uint8_t bit;
  State state;
};
constexpr Feature features[] = {{"sse", L1D, 25, Plain},
                                {"sse2", L1D, 26, Plain},
                                {"mmx", L1D, 23, Plain},
                                {"fxsr", L1D, 24, Plain},
                                {"cx8", L1D, 8, Plain},
                                {"cmov", L1D, 15, Plain},
                                {"sse3", L1C, 0, Plain},
                                {"pni", L1C, 0, Plain},
                                {"pclmul", L1C, 1, Plain},
                                {"pclmulqdq", L1C, 1, Plain},
                                {"ssse3", L1C, 9, Plain},
                                {"fma", L1C, 12, Avx},
                                {"cx16", L1C, 13, Plain},
                                {"sse41", L1C, 19, Plain},
                                {"sse42", L1C, 20, Plain},
                                {"movbe", L1C, 22, Plain},
                                {"popcnt", L1C, 23, Plain},
                                {"aes", L1C, 25, Plain},
                                {"xsave", L1C, 26, Plain},
                                {"avx", L1C, 28, Avx},
                                {"f16c", L1C, 29, Avx},
                                {"crc32", L1C, 20, Plain},
                                {"rdrand", L1C, 30, Plain},
                                {"rdrnd", L1C, 30, Plain},
                                {"fsgsbase", L7B, 0, Plain},
                                {"bmi", L7B, 3, Plain},
                                {"bmi1", L7B, 3, Plain},
                                {"avx2", L7B, 5, Avx},
                                {"bmi2", L7B, 8, Plain},
                                {"avx512f", L7B, 16, Avx512},
                                {"avx512dq", L7B, 17, Avx512},
                                {"rdseed", L7B, 18, Plain},
                                {"adx", L7B, 19, Plain},
                                {"avx512ifma", L7B, 21, Avx512},
                                {"clflushopt", L7B, 23, Plain},
                                {"clwb", L7B, 24, Plain},
                                {"avx512cd", L7B, 28, Avx512},
                                {"sha", L7B, 29, Plain},
                                {"shani", L7B, 29, Plain},
                                {"avx512bw", L7B, 30, Avx512},
                                {"avx512vl", L7B, 31, Avx512},
                                {"avx512vbmi", L7C, 1, Avx512},
                                {"avx512vbmi2", L7C, 6, Avx512},
                                {"gfni", L7C, 8, Plain},
                                {"vaes", L7C, 9, Avx},
                                {"vpclmulqdq", L7C, 10, Avx},
                                {"avx512vnni", L7C, 11, Avx512},
                                {"avx512bitalg", L7C, 12, Avx512},
                                {"avx512vpopcntdq", L7C, 14, Avx512},
                                {"rdpid", L7C, 22, Plain},
                                {"movdiri", L7C, 27, Plain},
                                {"movdir64b", L7C, 28, Plain},
                                {"avx512vp2intersect", L7D, 8, Avx512},
                                {"serialize", L7D, 14, Plain},
                                {"amxbf16", L7D, 22, Amx},
                                {"avx512fp16", L7D, 23, Avx512},
                                {"amxtile", L7D, 24, Amx},
                                {"amxint8", L7D, 25, Amx},
                                {"avxvnni", L71A, 4, Avx},
                                {"avx512bf16", L71A, 5, Avx512},
                                {"amxfp16", L71A, 21, Amx},
                                {"avxifma", L71A, 23, Avx},
                                {"sahf", X1C, 0, Plain},
                                {"lahflm", X1C, 0, Plain},
                                {"lzcnt", X1C, 5, Plain},
                                {"abm", X1C, 5, Plain},
                                {"sse4a", X1C, 6, Plain},
                                {"prfchw", X1C, 8, Plain},
                                {"3dnowprefetch", X1C, 8, Plain},
                                {"xop", X1C, 11, Avx},
                                {"fma4", X1C, 16, Avx},
                                {"tbm", X1C, 21, Plain},
                                {"xsaveopt", XD1A, 0, Plain},
                                {"xsavec", XD1A, 1, Plain},
                                {"xsaves", XD1A, 3, Plain}};

struct Registers {
  unsigned word[Words] = {};
  uint64_t saved = 0; // XCR0: what the operating system saves

  Registers() {
    unsigned a, b, c, d;
    if (__get_cpuid(1, &a, &b, &c, &d)) {
      word[L1C] = c;
      word[L1D] = d;
    }
    if (__get_cpuid_count(7, 0, &a, &b, &c, &d)) {
      word[L7B] = b;
      word[L7C] = c;
      word[L7D] = d;
      if (a >= 1 && __get_cpuid_count(7, 1, &a, &b, &c, &d))
        word[L71A] = a;
    }
    if (__get_cpuid(0x80000001, &a, &b, &c, &d))
      word[X1C] = c;
    if (__get_cpuid_count(0xD, 1, &a, &b, &c, &d))
      word[XD1A] = a;
    if (word[L1C] >> 27 & 1) {
      unsigned low, high;
      asm volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
      saved = static_cast<uint64_t>(high) << 32 | low;
    }
  }
  bool has(const Feature &feature) const {
    constexpr uint64_t masks[] = {0, 0x6, 0xE6, 0x60000};
    uint64_t mask = masks[feature.state];
    return (word[feature.word] >> feature.bit & 1) && (saved & mask) == mask;
  }
};
#endif

/// As the kernel lists it for the first core. 1 there, 0 not there, -1 no list.
int kernelLists(std::string_view name) {
  int descriptor = open("/proc/cpuinfo", O_RDONLY | O_CLOEXEC);
  if (descriptor < 0)
    return -1;
  std::string text;
  readAll(descriptor, text);
  close(descriptor);
  size_t row = text.find("\nflags");
  if (row == text.npos)
    row = text.find("\nFeatures");
  if (row == text.npos)
    return -1;
  std::string list = text.substr(row + 1, text.find('\n', row + 1) - row - 1) + " ";
  return list.find(" " + std::string(name) + " ") != list.npos;
}

#if !defined(__x86_64__)
struct Registers {};
#endif

bool has(const Registers &registers, std::string_view name) {
#if defined(__x86_64__)
  std::string plain;
  for (char c : name)
    if (c != '_' && c != '.' && c != '-')
      plain += c;
  for (const Feature &feature : features)
    if (plain == feature.name)
      return registers.has(feature);
#else
  (void)registers;
#endif
  return kernelLists(name) != 0;
}

} // namespace

std::string lackingFeatures(const char *needed) {
  std::string lacking;
  Registers registers;
  std::string_view rest = needed ? needed : "";
  while (!rest.empty()) {
    size_t space = rest.find(' ');
    std::string_view name = rest.substr(0, space);
    rest = space == rest.npos ? std::string_view() : rest.substr(space + 1);
    if (!name.empty() && !has(registers, name))
      lacking += (lacking.empty() ? "" : " ") + std::string(name);
  }
  return lacking;
}

} // namespace qkv::rt
