// A static initialiser starts a thread that holds a lock for ever; processes work all the same, each with such a thread.
#include <multiprocessing/process.hpp>

#include <atomic>
#include <condition_variable>
#include <iostream>
#include <mutex>
#include <thread>

struct Service {
    Service() {
        std::thread([this] {
            std::unique_lock held(lock);
            ready = true;
            changed.notify_all();
            changed.wait(held, [this] { return asked; });
            answered = true;
            changed.notify_all();
        }).detach();
        std::unique_lock held(lock);
        changed.wait(held, [this] { return ready; });
    }
    void ask() {
        std::unique_lock held(lock);
        asked = true;
        changed.notify_all();
        changed.wait(held, [this] { return answered; });
    }
    std::mutex lock;
    std::condition_variable changed;
    bool ready = false, asked = false, answered = false;
};
Service& service = *new Service;

void work(int number) {
    service.ask();  // only answered where the thread is
    std::cout << number << std::endl;
}

int main() {
    for (const auto method : {mp::StartMethod::forkserver, mp::StartMethod::spawn}) {
        for (int i = 0; i < 2; ++i) {
            mp::Process process({.start_method = method}, work, i);
            process.start();
            process.join();
            if (process.exitcode() != 0) return 1;
        }
    }
    try {
        mp::Process process({.start_method = mp::StartMethod::fork}, work, 9);
        process.start();
    } catch (const mp::UnsafeFork&) {
        std::cout << "refused" << std::endl;
    }
}
