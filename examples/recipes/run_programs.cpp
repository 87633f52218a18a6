// Runs commands side by side, as many at once as there are CPUs, and prints a table of how they ended.
//     recipes_run_programs 'sleep 1' 'exit 3' 'kill -9 $$'
#include <multiprocessing/pool.hpp>

#include <sys/wait.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

struct Result {
    int status = 0;  // as waitpid tells it
    double seconds = 0;
};

Result run(const std::string& command) {
    const auto begin = std::chrono::steady_clock::now();
    const int status = std::system(command.c_str());
    return {status, std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count()};
}

std::string ending(int status) {
    if (WIFSIGNALED(status)) return "signal " + std::to_string(WTERMSIG(status));
    return "exit " + std::to_string(WEXITSTATUS(status));
}

int main(int argc, char** argv) {
    const std::vector<std::string> commands(argv + 1, argv + argc);
    mp::Pool pool;
    const auto results = pool.map(run, commands, {.chunk_size = 1});

    int failed = 0;
    std::printf("%-10s %8s  %s\n", "ended", "seconds", "command");
    for (std::size_t i = 0; i < results.size(); ++i) {
        std::printf("%-10s %8.2f  %s\n", ending(results[i].status).c_str(), results[i].seconds, commands[i].c_str());
        failed += results[i].status != 0;
    }
    std::printf("%zu commands, %d failed\n", results.size(), failed);
    return failed ? 1 : 0;
}
