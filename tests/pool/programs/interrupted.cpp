// Gets SIGINT in the state that its argument names; says what it sees of it.
#include <multiprocessing/multiprocessing.hpp>

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdio>
#include <string_view>
#include <thread>

namespace {

using namespace std::chrono_literals;

void say(const char* text) {
    std::puts(text);
    std::fflush(stdout);
}

void heed(int) {
    say("begun");
    while (!mp::stop_token().wait_for(1s)) continue;
    say("heeded");
}

// Whatever it is told, short of SIGKILL.
void go_on(int) {
    ::signal(SIGTERM, SIG_IGN);
    say("begun");
    while (!mp::stop_token().wait_for(1s)) continue;
    say("asked");
    while (true) ::pause();
}

int same(int x) { return x; }

template <class Call>
void wait_for(Call call) {
    try {
        call();
        say("returned");
    } catch (...) {
        say("unwound");
    }
}

std::atomic<bool> own_handler_called{false};
void own_handler(int) { own_handler_called = true; }

void wait_for_own_handler() {
    while (!own_handler_called) std::this_thread::sleep_for(1ms);
}

bool is_standard() {
    struct sigaction now{};
    ::sigaction(SIGINT, nullptr, &now);
    return now.sa_handler == SIG_DFL;
}

}  // namespace

int main(int count, char** arguments) {
    const std::string_view state = count > 1 ? arguments[1] : "";
    ::signal(SIGINT, state == "ignored" ? SIG_IGN : state == "own" ? own_handler : SIG_DFL);
    mp::PoolOptions options;
    options.workers = 2;
    if (count > 2)
        for (const auto method : mp::get_all_start_methods())
            if (to_string(method) == arguments[2]) options.start_method = method;
    if (state == "patient") options.stop_ladder.token = 1h;
    if (state == "after") {
        {
            mp::Pool pool(options);
        }
        say(is_standard() ? "standard" : "kept");
        return 0;
    }
    mp::Pool pool(options);
    if (state == "submit") {
        auto first = pool.submit(heed, 0);
        auto second = pool.submit(heed, 1);
        auto never = pool.submit(heed, 2);
        wait_for([&] { first.get(); });
    } else if (state == "map") {
        wait_for([&] { pool.map(heed, mp::range(100)); });
    } else if (state == "ignore" || state == "patient") {
        wait_for([&] { pool.map(go_on, mp::range(100)); });
    } else if (state == "leave") {
        static_cast<void>(pool.submit(heed, 0));
    } else if (state == "two") {
        mp::Pool other(options);
        auto first = pool.submit(heed, 0);
        auto second = other.submit(heed, 0);
        wait_for([&] { second.get(); });
    } else if (state == "idle") {
        pool.apply(same, 1);
        say("idle");
        while (true) ::pause();
    } else if (state == "ignored") {
        ::raise(SIGINT);
        std::printf("%d\n", pool.apply(same, 3));
    } else if (state == "own") {
        say("ready");
        wait_for_own_handler();
        std::printf("%d\n", pool.apply(same, 3));
    } else if (state == "later") {
        ::signal(SIGINT, own_handler);
        say("ready");
        wait_for_own_handler();
        std::printf("%d\n", pool.apply(same, 3));
    } else if (state == "child") {
        const pid_t child = ::fork();
        if (child == 0) {
            ::raise(SIGINT);
            ::_exit(1);
        }
        int status = 0;
        ::waitpid(child, &status, 0);
        std::printf("%d %d\n", WIFSIGNALED(status) ? WTERMSIG(status) : 0, pool.apply(same, 3));
    } else {
        return 2;
    }
}
