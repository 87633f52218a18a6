// Memory that the processes of a benchmark share.
#pragma once

#include <sys/mman.h>

#include <new>
#include <stdexcept>

namespace bench {

/// A T, made before the processes are that share it.
template <class T>
class Shared {
  public:
    Shared() {
        void* const memory = ::mmap(nullptr, sizeof(T), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        if (memory == MAP_FAILED) throw std::runtime_error("no memory");
        object_ = new (memory) T{};
    }
    ~Shared() { ::munmap(object_, sizeof(T)); }
    Shared(const Shared&) = delete;
    Shared& operator=(const Shared&) = delete;
    T& operator*() const { return *object_; }
    T* operator->() const { return object_; }

  private:
    T* object_;
};

}  // namespace bench
