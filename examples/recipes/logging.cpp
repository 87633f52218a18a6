// Logging from workers: they put records into a queue, and one process writes them, so that lines are whole, in one
// file, and a slow disk stops nobody.
//     recipes_logging FILE
#include <multiprocessing/pool.hpp>
#include <multiprocessing/process.hpp>
#include <multiprocessing/queues.hpp>
#include <multiprocessing/range.hpp>

#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <fstream>
#include <string>
#include <utility>

struct Record {
    std::chrono::system_clock::time_point time;
    int pid = 0;
    std::string level, text;
};
using Log = mp::Queue<Record>;

void log(Log& to, std::string level, std::string text) {
    to.put({std::chrono::system_clock::now(), ::getpid(), std::move(level), std::move(text)});
}

void write_log(const std::string& path, Log records) {
    std::ofstream file(path);
    for (const Record& record : records) {  // ends when the queue is closed and read
        const auto microseconds = std::chrono::duration_cast<std::chrono::microseconds>(record.time.time_since_epoch());
        file << microseconds.count() << ' ' << record.level << " [" << record.pid << "] " << record.text << '\n';
    }
}

int work(Log& to, int number) {
    log(to, "INFO", "task " + std::to_string(number) + " begins");
    if (number % 10 == 7) log(to, "WARNING", "task " + std::to_string(number) + " looks odd");
    log(to, "INFO", "task " + std::to_string(number) + " is done");
    return number;
}

int main(int argc, char** argv) {
    if (argc != 2) return std::fputs("usage: recipes_logging FILE\n", stderr), 2;
    Log records;
    mp::Process writer({.name = "log"}, write_log, std::string(argv[1]), records);
    writer.start();
    {
        mp::Pool pool(2);
        pool.map(mp::bind(work, records), mp::range(0, 100));
    }
    records.close();
    writer.join();
    std::printf("logged to %s\n", argv[1]);
}
