/// \file
/// What a manager's server holds for managed locks and their kin: they know who called, and free what a dead client
/// held.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <vector>

#include <multiprocessing/detail/managed_call.hpp>
#include <multiprocessing/detail/wait_limit.hpp>
#include <multiprocessing/export.hpp>

namespace mp::detail {

/// The thread of a client that the current call is made for.
struct Caller {
    std::uint64_t client = 0;  ///< 0: the server itself
    std::uint64_t thread = 0;
    bool operator==(const Caller&) const = default;
};
MP_EXPORT Caller current_caller();

/// A mutex, and a place to wait for what it guards to change. A wait ends with its client: whoever waits for a client
/// that died leaves by an exception.
class MP_EXPORT WaitRoom {
  public:
    WaitRoom() = default;
    WaitRoom(const WaitRoom&) = delete;
    WaitRoom& operator=(const WaitRoom&) = delete;

    std::unique_lock<std::mutex> enter() { return std::unique_lock(mutex_); }
    /// Waits until `ready()`, false when the time ran out first. Throws when the calling client is gone; then nothing
    /// may be given to it. `lock` is held whenever ready() is called and at the end, however that comes.
    bool wait(std::unique_lock<std::mutex>& lock, WaitLimit limit, const std::function<bool()>& ready);
    /// Wakes everybody who waits. The mutex must be held.
    void changed() noexcept;

  private:
    std::mutex mutex_;
    std::vector<int> bells_;  // eventfds of those who wait
};

struct Acquired {
    bool acquired = false;
    bool recovered = false;  ///< its last owner died
};

class MP_EXPORT ServedLock final : public ClientWatcher {
  public:
    static constexpr bool is_thread_safe = true;
    explicit ServedLock(bool recursive) : recursive_(recursive) {}
    Acquired acquire(WaitLimit limit);
    void release();
    bool locked();
    void client_died(std::uint64_t client) noexcept override;

  private:
    const bool recursive_;
    WaitRoom room_;
    Caller owner_;
    std::size_t depth_ = 0;
    bool recovered_ = false;
};

class MP_EXPORT ServedSemaphore final : public ClientWatcher {
  public:
    static constexpr bool is_thread_safe = true;
    /// Bounded: never more than at the beginning, and a dead client's permits come back.
    ServedSemaphore(std::size_t permits, bool bounded) : permits_(permits), most_(permits), bounded_(bounded) {}
    bool acquire(WaitLimit limit);
    void release(std::size_t permits);
    std::size_t value();
    void client_died(std::uint64_t client) noexcept override;

  private:
    WaitRoom room_;
    std::size_t permits_, most_;
    const bool bounded_;
    std::map<std::uint64_t, std::size_t> held_;  // permits of a bounded one, by client
};

/// A condition with its own recursive lock.
class MP_EXPORT ServedCondition final : public ClientWatcher {
  public:
    static constexpr bool is_thread_safe = true;
    Acquired acquire(WaitLimit limit);
    void release();
    bool wait(WaitLimit limit);
    void notify(std::size_t count);
    void client_died(std::uint64_t client) noexcept override;

  private:
    void check_owner(const char* operation);
    bool free_or_mine() const { return depth_ == 0 || owner_ == current_caller(); }

    WaitRoom room_;
    Caller owner_;
    std::size_t depth_ = 0;
    bool recovered_ = false;
    std::uint64_t next_ticket_ = 0;
    std::map<std::uint64_t, bool> waiting_;  // by ticket: whether it was notified
};

class MP_EXPORT ServedEvent {
  public:
    static constexpr bool is_thread_safe = true;
    void set();
    void clear();
    bool is_set();
    bool wait(WaitLimit limit);

  private:
    WaitRoom room_;
    bool set_ = false;
};

class MP_EXPORT ServedBarrier {
  public:
    static constexpr bool is_thread_safe = true;
    explicit ServedBarrier(std::size_t parties);
    static constexpr std::uint64_t was_broken = ~std::uint64_t{0};
    /// The caller's place in the round, or was_broken.
    std::uint64_t wait(WaitLimit limit);
    void reset();
    void abort();
    std::size_t parties();
    std::size_t waiting();
    bool broken();

  private:
    WaitRoom room_;
    const std::size_t parties_;
    std::size_t arrived_ = 0;
    std::uint64_t round_ = 0, broken_round_ = was_broken;  // rounds before the present one; the last that broke
    bool broken_ = false;
};

}  // namespace mp::detail
