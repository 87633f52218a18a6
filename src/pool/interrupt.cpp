#include "pool/interrupt.hpp"

#include <pthread.h>
#include <signal.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdint>
#include <mutex>

#include "os/own_pid.hpp"

namespace mp::pool {

// Never freed, since a handler may be looking at it; used again.
struct InterruptWatch::Place {
    std::atomic<int> doorbell{-1};  // -1: nobody's
    bool stopped = false;           // under the mutex
    Place* next = nullptr;
};

namespace {

using Place = InterruptWatch::Place;

// What the handler looks at.
std::atomic<Place*> places{nullptr};
std::atomic<bool> was_pressed{false};
std::atomic<int> handlers{0};  // at work
std::atomic<pid_t> owner{0};
static_assert(std::atomic<Place*>::is_always_lock_free && std::atomic<int>::is_always_lock_free);

// Guards changes of the above, and of the disposition. Taken before a fork, so that no child finds it locked.
std::mutex& changes() {
    static auto* const mutex = new std::mutex;  // NOLINT(cppcoreguidelines-owning-memory): pools in globals outlive it
    return *mutex;
}

// Ends the program as if there had been no handler.
[[noreturn]] void die() {
    struct sigaction standard{};
    standard.sa_handler = SIG_DFL;
    ::sigaction(SIGINT, &standard, nullptr);
    sigset_t interrupt;
    ::sigemptyset(&interrupt);
    ::sigaddset(&interrupt, SIGINT);
    ::pthread_sigmask(SIG_UNBLOCK, &interrupt, nullptr);
    ::raise(SIGINT);
    while (true) ::pause();  // until it has taken effect
}

extern "C" void mp_on_interrupt(int) {
    const int error = errno;
    bool told = false;
    // In a child that inherited the handler nobody would listen.
    if (::getpid() == owner.load() && !was_pressed.exchange(true)) {
        handlers.fetch_add(1);
        for (const Place* place = places.load(); place; place = place->next) {
            const int doorbell = place->doorbell.load();
            if (doorbell < 0) continue;
            const std::uint64_t one = 1;
            static_cast<void>(!::write(doorbell, &one, sizeof one));
            told = true;
        }
        handlers.fetch_sub(1);
    }
    if (!told) die();
    errno = error;
}

bool is_ours(const struct sigaction& action) {
    return !(action.sa_flags & SA_SIGINFO) && action.sa_handler == &mp_on_interrupt;
}

bool is_standard(const struct sigaction& action) {
    return !(action.sa_flags & SA_SIGINFO) && action.sa_handler == SIG_DFL;
}

void install() {
    struct sigaction now{};
    ::sigaction(SIGINT, nullptr, &now);
    if (!is_standard(now)) return;
    struct sigaction action{};
    action.sa_handler = &mp_on_interrupt;
    action.sa_flags = SA_RESTART | SA_ONSTACK;
    ::sigaction(SIGINT, &action, nullptr);
}

void take_away() {
    struct sigaction now{};
    ::sigaction(SIGINT, nullptr, &now);
    if (!is_ours(now)) return;
    struct sigaction standard{};
    standard.sa_handler = SIG_DFL;
    ::sigaction(SIGINT, &standard, nullptr);
}

void before_fork() { changes().lock(); }
void after_fork() { changes().unlock(); }
void in_child() {
    for (Place* place = places.load(); place; place = place->next) place->doorbell.store(-1);
    was_pressed.store(false);
    handlers.store(0);
    owner.store(0);
    take_away();
    changes().unlock();
}

bool anybody() {
    for (const Place* place = places.load(); place; place = place->next)
        if (place->doorbell.load() >= 0) return true;
    return false;
}

void die_if_all_stopped() {
    for (const Place* place = places.load(); place; place = place->next)
        if (place->doorbell.load() >= 0 && !place->stopped) return;
    die();
}

Place& free_place() {
    for (Place* place = places.load(); place; place = place->next)
        if (place->doorbell.load() < 0) return *place;
    auto* const place = new Place;  // NOLINT(cppcoreguidelines-owning-memory)
    place->next = places.load();
    places.store(place);
    return *place;
}

void give_back(Place& place) {
    place.doorbell.store(-1);
    while (handlers.load() > 0) ::sched_yield();  // one may have read it already; it does not wait
}

}  // namespace

InterruptWatch::InterruptWatch(int doorbell) : owner_(os::own_pid()) {
    static const int watching_forks = ::pthread_atfork(&before_fork, &after_fork, &in_child);
    static_cast<void>(watching_forks);
    {
        const std::lock_guard guard(changes());
        owner.store(owner_);
        Place& place = free_place();
        place.stopped = false;
        place.doorbell.store(doorbell);
        // Either the handler sees this place, or this sees that it has been at work.
        if (!was_pressed.load()) {
            place_ = &place;
            install();
            return;
        }
        give_back(place);
        die_if_all_stopped();
    }
    while (true) ::pause();
}

InterruptWatch::~InterruptWatch() {
    if (owner_ != os::own_pid()) return;
    const std::lock_guard guard(changes());
    give_back(*place_);
    if (was_pressed.load()) die_if_all_stopped();
    if (!anybody()) take_away();
}

bool InterruptWatch::pressed() { return was_pressed.load(std::memory_order_acquire); }

void InterruptWatch::stopped() {
    {
        const std::lock_guard guard(changes());
        place_->stopped = true;
        die_if_all_stopped();
    }
    while (true) ::pause();
}

}  // namespace mp::pool
