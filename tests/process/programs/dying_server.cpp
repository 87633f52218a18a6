// Its fork server dies in the midst of a start, after the fork and before it tells of it. Prints how often the target ran
// - once - and how the process ended that must not begin. First argument: `begun` or `unbegun`, what that process is when
// the server is gone; second: a folder.
#include <multiprocessing/process.hpp>

#include <pthread.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <string>

#include "process/forkserver.hpp"

namespace {

const char* const folder = std::getenv("DYING_SERVER_FOLDER");
const char* const mode = std::getenv("DYING_SERVER_MODE");
bool armed = false;

std::string file(const char* name) { return std::string(folder) + '/' + name; }
void make(const char* name) { std::ofstream(file(name)) << ::getpid() << std::endl; }
void wait_for(const char* name) {
    while (::access(file(name).c_str(), F_OK) != 0) ::usleep(1000);
}

// The handlers are those of the server, an executed copy of this program, too.
[[maybe_unused]] const int handlers = ::pthread_atfork(
    [] { armed = folder && ::unlink(file("armed").c_str()) == 0; },
    [] {
        if (!armed) return;
        if (mode == std::string("begun")) wait_for("ran");
        ::kill(::getpid(), SIGKILL);
    },
    [] {
        if (!armed || mode == std::string("begun")) return;
        make("stray");
        wait_for("ran");  // the one that was started in its place
    });

void target() {
    std::ofstream(file("runs"), std::ios::app) << "run\n";
    make("ran");
    wait_for("started");
}

}  // namespace

int main(int, char** argv) {
    if (!folder) {
        ::setenv("DYING_SERVER_MODE", argv[1], 1);
        ::setenv("DYING_SERVER_FOLDER", argv[2], 1);
        ::execv("/proc/self/exe", argv);
    }
    ::prctl(PR_SET_CHILD_SUBREAPER, 1);  // to see how the orphan ends
    static_cast<void>(mp::process::Forkserver::shared());  // without a spare: the start is a fork
    make("armed");
    mp::Process process(target);
    process.start();
    make("started");
    process.join();
    if (mode == std::string("unbegun")) {
        pid_t stray = 0;
        int how = 0;
        std::ifstream(file("stray")) >> stray;
        ::waitpid(stray, &how, 0);
        std::cout << "the other exited with " << (WIFEXITED(how) ? WEXITSTATUS(how) : -1) << '\n';
    }
    std::ifstream runs(file("runs"));
    for (std::string line; std::getline(runs, line);) std::cout << line << '\n';
}
