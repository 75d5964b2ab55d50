// How many times longer than otherwise anything may take in this build.
#pragma once

namespace qkv::test {

/// Sanitizers make code several times slower: what is left of a bound on time is its order.
#if defined(__SANITIZE_ADDRESS__)
constexpr int slowdown = 10;
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
constexpr int slowdown = 10;
#else
constexpr int slowdown = 1;
#endif
#else
constexpr int slowdown = 1;
#endif

} // namespace qkv::test
