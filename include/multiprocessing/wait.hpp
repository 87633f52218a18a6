/// \file
/// Waiting for the first of several things.
#pragma once

#include <chrono>
#include <concepts>
#include <cstddef>
#include <initializer_list>
#include <span>
#include <vector>

#include <multiprocessing/detail/wait_limit.hpp>
#include <multiprocessing/export.hpp>

namespace mp {

/// Something that wait() can wait for: a connection (ready to be received from, or at its end), a queue (something is
/// inside, or it is closed), a process (ended; by its sentinel()), a descriptor (readable), and whatever else has
/// `internal_ready`, `internal_bell` and `internal_settle` like a queue. Refers to the object, which must outlive it.
class MP_EXPORT Waitable {
  public:
    /// A descriptor of the host program.
    Waitable(int descriptor) : number_(descriptor) {}

    template <class T>
        requires requires(T& object) {
            { object.fileno() } -> std::same_as<int>;
            { object.poll() } -> std::same_as<bool>;
        }
    /// A connection or listener: when it would not wait. It must outlive the call, as all of these.
    Waitable(T& connection)
        : object_(&connection), ready_([](void* object) { return static_cast<T*>(object)->poll(); }),
          descriptor_([](void* object) { return static_cast<T*>(object)->fileno(); }) {}

    template <class T>
        requires requires(const T& object) {
            { object.internal_ready() } -> std::same_as<bool>;
            { object.internal_bell() } -> std::same_as<int>;
            object.internal_settle();
        }
    /// A queue or a future: when get would not wait.
    Waitable(const T& queue)
        : object_(const_cast<T*>(&queue)),
          ready_([](void* object) { return static_cast<const T*>(object)->internal_ready(); }),
          descriptor_([](void* object) { return static_cast<const T*>(object)->internal_bell(); }),
          settle_([](void* object) { static_cast<const T*>(object)->internal_settle(); }) {}

    template <class T>
        requires requires(const T& object) {
            { object.sentinel() } -> std::convertible_to<int>;
        }
    /// A process: when it has ended.
    Waitable(const T& process) : number_(process.sentinel()) {}

    /// \cond internal
    bool internal_knows() const noexcept { return ready_ != nullptr; }
    bool internal_ready() const { return ready_ && ready_(object_); }
    int internal_descriptor() const { return descriptor_ ? descriptor_(object_) : number_; }
    void internal_settle() const {
        if (settle_) settle_(object_);
    }
    /// \endcond

  private:
    void* object_ = nullptr;
    bool (*ready_)(void*) = nullptr;
    int (*descriptor_)(void*) = nullptr;
    void (*settle_)(void*) = nullptr;
    int number_ = -1;
};

namespace detail {

MP_EXPORT std::vector<std::size_t> wait_any(std::span<const Waitable> objects, WaitLimit limit);

}  // namespace detail

/// Waits until at least one of the objects is ready; the positions of all that are, in order. Empty when the time ran
/// out first (a limit of zero or less just looks). `for (auto i : mp::wait({pipe, queue, process}, 2s))`.
template <class Rep, class Period>
std::vector<std::size_t> wait(std::initializer_list<Waitable> objects, std::chrono::duration<Rep, Period> limit) {
    return detail::wait_any({objects.begin(), objects.size()}, detail::wait_limit(limit));
}
/// Without a limit.
inline std::vector<std::size_t> wait(std::initializer_list<Waitable> objects) {
    return detail::wait_any({objects.begin(), objects.size()}, detail::forever);
}
/// For a number of objects that is known at run time.
template <class Rep, class Period>
std::vector<std::size_t> wait(std::span<const Waitable> objects, std::chrono::duration<Rep, Period> limit) {
    return detail::wait_any(objects, detail::wait_limit(limit));
}
/// Without a limit.
inline std::vector<std::size_t> wait(std::span<const Waitable> objects) {
    return detail::wait_any(objects, detail::forever);
}

}  // namespace mp
