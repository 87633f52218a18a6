#include <multiprocessing/detail/served_sync.hpp>

#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>

#include <multiprocessing/errors.hpp>

#include "base/deadline.hpp"
#include "channel/raise.hpp"
#include "manager/session.hpp"
#include "os/packet.hpp"
#include "os/retry.hpp"
#include "os/unique_fd.hpp"

namespace mp::manager {

namespace {

thread_local const Session* session_of_thread = nullptr;

}  // namespace

const Session* current_session() { return session_of_thread; }

ServeScope::ServeScope(const Session* session) : before_(std::exchange(session_of_thread, session)) {}
ServeScope::~ServeScope() { session_of_thread = before_; }

bool caller_is_dead() {
    const Session* session = current_session();
    return session && session->life->dead.load(std::memory_order_acquire);
}

bool caller_is_gone() {
    const Session* session = current_session();
    return session && (caller_is_dead() || os::other_end_gone(session->socket));
}

std::uint64_t thread_number() {
    static std::atomic<std::uint64_t> last = 0;
    thread_local const std::uint64_t number = ++last;
    return number;
}

}  // namespace mp::manager

namespace mp::detail {

using base::Deadline;

namespace {

/// What wakes the calling thread, and nobody else.
int own_bell() {
    thread_local os::UniqueFd bell;
    if (!bell) bell = os::clear_of_streams(os::UniqueFd(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)));
    if (!bell) channel::raise(base::last_error(), "cannot wait in a manager");
    return bell.get();
}

void check_caller() {
    if (manager::caller_is_gone()) throw Closed("the client of this call is gone");
}

}  // namespace

ClientWatcher::~ClientWatcher() = default;

Caller current_caller() {
    const auto* session = manager::current_session();
    return session ? session->caller : Caller{0, manager::thread_number()};
}

bool WaitRoom::wait(std::unique_lock<std::mutex>& lock, WaitLimit limit, const std::function<bool()>& ready) {
    check_caller();
    if (ready()) return true;
    const Deadline deadline = Deadline::after(limit);
    if (deadline.expired()) return false;
    const int bell = own_bell();
    const auto* session = manager::current_session();
    bells_.push_back(bell);
    struct Leave {
        std::vector<int>& bells;
        int bell;
        ~Leave() { bells.erase(std::ranges::find(bells, bell)); }
    } const leave{bells_, bell};
    for (;;) {
        lock.unlock();
        pollfd what[2] = {{bell, POLLIN, 0}, {session ? session->socket : -1, POLLRDHUP, 0}};
        ::poll(what, 2, deadline.poll_timeout());
        std::uint64_t count;
        (void)os::retry([&] { return ::read(bell, &count, sizeof count); });
        lock.lock();
        check_caller();
        if (ready()) return true;
        if (deadline.expired()) return false;
    }
}

void WaitRoom::changed() noexcept {
    const std::uint64_t one = 1;
    for (const int bell : bells_) (void)os::retry([&] { return ::write(bell, &one, sizeof one); });
}

Acquired ServedLock::acquire(WaitLimit limit) {
    auto lock = room_.enter();
    const Caller caller = current_caller();
    const bool again = recursive_ && depth_ != 0 && owner_ == caller;
    if (!again && !room_.wait(lock, limit, [&] { return depth_ == 0; })) return {};
    owner_ = caller;
    ++depth_;
    if (again) return {true, false};
    return {true, std::exchange(recovered_, false)};
}

void ServedLock::release() {
    const auto lock = room_.enter();
    if (depth_ == 0) throw Error("cannot unlock a managed lock: it is not locked");
    if (owner_ != current_caller()) throw Error("cannot unlock a managed lock: another thread or process has it");
    if (--depth_ == 0) room_.changed();
}

bool ServedLock::locked() {
    const auto lock = room_.enter();
    return depth_ != 0;
}

void ServedLock::client_died(std::uint64_t client) noexcept {
    const auto lock = room_.enter();
    if (depth_ == 0 || owner_.client != client) return;
    depth_ = 0;
    recovered_ = true;
    room_.changed();
}

bool ServedSemaphore::acquire(WaitLimit limit) {
    auto lock = room_.enter();
    if (!room_.wait(lock, limit, [&] { return permits_ != 0; })) return false;
    --permits_;
    if (bounded_) ++held_[current_caller().client];
    return true;
}

void ServedSemaphore::release(std::size_t permits) {
    const auto lock = room_.enter();
    // Its last words may come after its end has given back what it had: that permit is another's by now.
    if (bounded_ && manager::caller_is_dead()) throw Closed("the client of this call is gone");
    if (bounded_ && permits > most_ - permits_)
        throw Error("cannot release a managed bounded semaphore: it was released more often than acquired");
    permits_ += permits;
    if (bounded_) {
        // A permit may be given back by another client than the one that took it.
        const auto mine = held_.find(current_caller().client);
        for (auto it = mine != held_.end() ? mine : held_.begin(); permits != 0 && it != held_.end();) {
            const std::size_t taken = std::min(permits, it->second);
            it->second -= taken;
            permits -= taken;
            if (it->second == 0) held_.erase(it);
            it = held_.begin();
        }
    }
    room_.changed();
}

std::size_t ServedSemaphore::value() {
    const auto lock = room_.enter();
    return permits_;
}

void ServedSemaphore::client_died(std::uint64_t client) noexcept {
    const auto lock = room_.enter();
    const auto held = held_.find(client);
    if (held == held_.end()) return;
    permits_ += held->second;
    held_.erase(held);
    room_.changed();
}

void ServedCondition::check_owner(const char* operation) {
    if (depth_ == 0 || owner_ != current_caller())
        throw Error(std::string("cannot ") + operation + " a managed condition: the caller does not have its lock");
}

Acquired ServedCondition::acquire(WaitLimit limit) {
    auto lock = room_.enter();
    if (!room_.wait(lock, limit, [&] { return free_or_mine(); })) return {};
    owner_ = current_caller();
    return {true, depth_++ == 0 && std::exchange(recovered_, false)};
}

void ServedCondition::release() {
    const auto lock = room_.enter();
    check_owner("unlock");
    if (--depth_ == 0) room_.changed();
}

bool ServedCondition::wait(WaitLimit limit) {
    auto lock = room_.enter();
    check_owner("wait for");
    const std::size_t depth = std::exchange(depth_, 0);
    const std::uint64_t ticket = next_ticket_++;
    const auto place = waiting_.emplace(ticket, false).first;
    struct Leave {
        std::map<std::uint64_t, bool>& waiting;
        std::map<std::uint64_t, bool>::iterator place;
        ~Leave() { waiting.erase(place); }
    };
    bool notified = false;
    {
        const Leave leave{waiting_, place};
        room_.changed();
        try {
            room_.wait(lock, limit, [&] { return place->second; });
        } catch (...) {
            if (place->second) {
                // A notification is not spent on the dead.
                for (auto& [other, told] : waiting_) {
                    if (told) continue;
                    told = true;
                    break;
                }
                room_.changed();
            }
            throw;
        }
        notified = place->second;
    }
    room_.wait(lock, forever, [&] { return depth_ == 0; });
    owner_ = current_caller();
    depth_ = depth;
    return notified;
}

void ServedCondition::notify(std::size_t count) {
    const auto lock = room_.enter();
    check_owner("notify");
    for (auto& [ticket, told] : waiting_) {
        if (count == 0) break;
        if (told) continue;
        told = true;
        --count;
    }
    room_.changed();
}

void ServedCondition::client_died(std::uint64_t client) noexcept {
    const auto lock = room_.enter();
    if (depth_ == 0 || owner_.client != client) return;
    depth_ = 0;
    recovered_ = true;
    room_.changed();
}

void ServedEvent::set() {
    const auto lock = room_.enter();
    set_ = true;
    room_.changed();
}
void ServedEvent::clear() {
    const auto lock = room_.enter();
    set_ = false;
}
bool ServedEvent::is_set() {
    const auto lock = room_.enter();
    return set_;
}
bool ServedEvent::wait(WaitLimit limit) {
    auto lock = room_.enter();
    return room_.wait(lock, limit, [&] { return set_; });
}

ServedBarrier::ServedBarrier(std::size_t parties) : parties_(parties) {
    if (parties == 0) throw Error("a managed barrier needs at least one party");
}

std::uint64_t ServedBarrier::wait(WaitLimit limit) {
    auto lock = room_.enter();
    check_caller();  // who is dead by now is no party
    if (broken_) return was_broken;
    const std::uint64_t round = round_;
    const std::uint64_t place = arrived_++;
    if (arrived_ == parties_) {
        arrived_ = 0;
        ++round_;
        room_.changed();
        return place;
    }
    const auto break_it = [&] {
        if (round_ != round) return;
        broken_ = true;
        --arrived_;
        room_.changed();
    };
    bool passed = false;
    try {
        passed = room_.wait(lock, limit, [&] { return round_ != round || broken_; }) && round_ != round;
    } catch (...) {
        break_it();
        throw;
    }
    if (passed) return round == broken_round_ ? was_broken : place;
    break_it();
    return was_broken;
}

void ServedBarrier::reset() {
    const auto lock = room_.enter();
    if (arrived_ != 0) {
        broken_round_ = round_++;
        arrived_ = 0;
    }
    broken_ = false;
    room_.changed();
}

void ServedBarrier::abort() {
    const auto lock = room_.enter();
    broken_ = true;
    room_.changed();
}

std::size_t ServedBarrier::parties() { return parties_; }
std::size_t ServedBarrier::waiting() {
    const auto lock = room_.enter();
    return arrived_;
}
bool ServedBarrier::broken() {
    const auto lock = room_.enter();
    return broken_;
}

}  // namespace mp::detail
