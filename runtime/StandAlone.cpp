// In: what compiled C++ asks of its library. Out: the few functions of it that the runtime needs,
// on libc alone. Holds: compiled only into the archive for built programs, without exceptions;
// all of it is local to that archive, so a C++ program around it keeps its own.
#include <cstdio>
#include <cstdlib>
#include <new>
#include <unistd.h>

extern "C" void *qkv_alloc(size_t bytes);

/// A broken invariant of the runtime: nothing is left to be done but to say so.
[[noreturn]] static void broken(const char *what) {
  fprintf(stderr, "error: broken invariant in the runtime: %s\n", what ? what : "unknown");
  _exit(1);
}

void *operator new(size_t size) {
  if (void *memory = malloc(size ? size : 1))
    return memory;
  // Says how much was needed, and ends the program.
  return qkv_alloc(size);
}
void *operator new[](size_t size) { return operator new(size); }
void operator delete(void *memory) noexcept { free(memory); }
void operator delete[](void *memory) noexcept { free(memory); }
void operator delete(void *memory, size_t) noexcept { free(memory); }
void operator delete[](void *memory, size_t) noexcept { free(memory); }

// What libstdc++ calls where it would throw.
// NOLINTBEGIN(bugprone-reserved-identifier, bugprone-std-namespace-modification)
namespace std {
void __throw_bad_alloc() { broken("no memory"); }
void __throw_bad_array_new_length() { broken("no memory"); }
void __throw_length_error(const char *what) { broken(what); }
void __throw_logic_error(const char *what) { broken(what); }
void __throw_out_of_range(const char *what) { broken(what); }
void __throw_out_of_range_fmt(const char *what, ...) { broken(what); }
void __throw_bad_function_call() { broken("empty function"); }
} // namespace std
// NOLINTEND(bugprone-reserved-identifier, bugprone-std-namespace-modification)

// The JSON reader makes an exception object for each error, to carry a text that nobody reads
// here; the base class of these objects needs to be made and unmade, and nothing else.
extern "C" {
void qkvRuntimeErrorMade(void *, const char *) __asm__("_ZNSt13runtime_errorC1EPKc");
void qkvRuntimeErrorMade2(void *, const char *) __asm__("_ZNSt13runtime_errorC2EPKc");
void qkvRuntimeErrorGone(void *) __asm__("_ZNSt13runtime_errorD1Ev");
void qkvRuntimeErrorGone2(void *) __asm__("_ZNSt13runtime_errorD2Ev");
const char *qkvRuntimeErrorWhat(const void *) __asm__("_ZNKSt13runtime_error4whatEv");
void qkvExceptionGone(void *) __asm__("_ZNSt9exceptionD2Ev");
void qkvPureVirtual() __asm__("__cxa_pure_virtual");
// (libc has it under a name of its own.)
int qkvThreadExit(void (*gone)(void *), void *object, void *library) __asm__("__cxa_thread_atexit");
int qkvThreadExitOfLibc(void (*gone)(void *), void *object,
                        void *library) __asm__("__cxa_thread_atexit_impl");
bool qkvSharedTag(const void *) __asm__("_ZNSt19_Sp_make_shared_tag5_S_eqERKSt9type_info");

void qkvRuntimeErrorMade(void *, const char *) {}
void qkvRuntimeErrorMade2(void *, const char *) {}
void qkvRuntimeErrorGone(void *) {}
void qkvRuntimeErrorGone2(void *) {}
const char *qkvRuntimeErrorWhat(const void *) { return ""; }
void qkvExceptionGone(void *) {}
void qkvPureVirtual() { broken("pure virtual call"); }
int qkvThreadExit(void (*gone)(void *), void *object, void *library) {
  return qkvThreadExitOfLibc(gone, object, library);
}
bool qkvSharedTag(const void *) { return false; } // (there is no RTTI to ask)
}
