// Whether the tests are compiled with a sanitizer: g++ and clang say it in different ways.
#pragma once

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define MP_UNDER_SANITIZER 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define MP_UNDER_SANITIZER 1
#endif
#endif
#ifndef MP_UNDER_SANITIZER
#define MP_UNDER_SANITIZER 0
#endif

// Under a sanitizer a crash ends with its report and an exit code, not with the signal; and freed memory is kept for a while.
#define MP_SKIP_UNDER_SANITIZERS(reason) \
    if (MP_UNDER_SANITIZER) GTEST_SKIP() << reason
