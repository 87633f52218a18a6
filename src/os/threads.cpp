#include "os/threads.hpp"

#include <dirent.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <fstream>
#include <memory>
#include <mutex>

#include "os/own_pid.hpp"

namespace mp::os {

namespace {

// Of one process. A fork of it may have been made while another thread held the lock, and has none of these threads.
struct Ignored {
    explicit Ignored(Ignored* of_forked) : before(of_forked) {}
    const pid_t process = own_pid();
    Ignored* const before;  // of the process that this one is a fork of; nobody looks at it
    std::mutex mutex;
    std::vector<pid_t> tids;
};

// Never destroyed: threads may still end while the program's static objects are being destroyed.
Ignored& ignored() {
    static std::atomic<Ignored*> current{nullptr};  // published (release) to whoever finds it (acquire)
    Ignored* it = current.load(std::memory_order_acquire);
    while (!it || it->process != own_pid()) {
        auto made = std::make_unique<Ignored>(it);
        if (current.compare_exchange_strong(it, made.get(), std::memory_order_acq_rel)) it = made.release();
    }
    return *it;
}

}  // namespace

IgnoredThread::IgnoredThread() {
    std::lock_guard lock(ignored().mutex);
    ignored().tids.push_back(::gettid());
}

IgnoredThread::~IgnoredThread() {
    std::lock_guard lock(ignored().mutex);
    std::erase(ignored().tids, ::gettid());
}

// By the signals that it blocks: all, but for those that a fault of its own would raise.
static bool is_of_thread_sanitizer(pid_t tid) {
    constexpr unsigned long long blocked = 0xfffffffe3ffbea07;
    std::ifstream file("/proc/self/task/" + std::to_string(tid) + "/status");
    for (std::string line; std::getline(file, line);)
        if (line.rfind("SigBlk:", 0) == 0) return (std::stoull(line.substr(7), nullptr, 16) & blocked) == blocked;
    return false;
}

static std::vector<std::string> threads_now() {
    std::vector<std::string> names;
    const std::unique_ptr<DIR, int (*)(DIR*)> folder(::opendir("/proc/self/task"), &::closedir);
    if (!folder) return names;
    std::vector<pid_t> known;
    {
        std::lock_guard lock(ignored().mutex);
        known = ignored().tids;
    }
    known.push_back(::gettid());
    while (const dirent* entry = ::readdir(folder.get())) {
        const auto tid = static_cast<pid_t>(std::atoi(entry->d_name));
        if (tid == 0 || std::find(known.begin(), known.end(), tid) != known.end()) continue;
        std::string name;
        std::ifstream file("/proc/self/task/" + std::to_string(tid) + "/comm");
        // A thread that ended meanwhile has no name and is no danger.
        if (!std::getline(file, name)) continue;
        if (thread_sanitizer && is_of_thread_sanitizer(tid)) continue;
        names.push_back(name + " (tid " + std::to_string(tid) + ")");
    }
    return names;
}

std::vector<std::string> other_threads() {
    // A thread is listed for a moment after it was joined, and one of the library's own before it has said what it is.
    constexpr int looks = 100;
    for (int look = 1;; ++look) {
        auto names = threads_now();
        if (names.empty() || look == looks) return names;
        ::usleep(500);
    }
}

}  // namespace mp::os
