// Threads of foreign code that are ready to tell of an overflow of their stack.
#pragma once

namespace mp::os {

/// From now on every thread that this process starts by pthread_create, std::thread included, has an alternate stack, as
/// by arm_this_thread(): the library's pthread_create stands before the C library's and passes everything on. Costs four
/// system calls a thread. Without effect in programs built with a sanitizer, which has a pthread_create of its own, and
/// in those that bind pthread_create elsewhere: their threads die of an overflow as they would without the library.
void arm_all_threads();

}  // namespace mp::os
