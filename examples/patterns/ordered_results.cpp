// Results come as they are ready; an index that travels with each task puts them back in order.
#include <multiprocessing/multiprocessing.hpp>

#include <cctype>
#include <cstdio>
#include <string>
#include <utility>
#include <vector>

using Line = std::pair<std::size_t, std::string>;

void shout(mp::Queue<Line> lines, mp::Queue<Line> results) {
    for (auto [index, text] : lines) {  // ends when the queue is closed and empty
        for (char& letter : text) letter = static_cast<char>(std::toupper(static_cast<unsigned char>(letter)));
        results.put({index, text});
    }
}

int main() {
    const std::vector<std::string> text = {"first", "second", "third", "fourth", "fifth"};
    mp::Queue<Line> lines, results;
    std::vector<mp::Process> workers;
    for (int i = 0; i < 3; ++i) workers.emplace_back(shout, lines, results);
    for (auto& worker : workers) worker.start();
    for (std::size_t i = 0; i < text.size(); ++i) lines.put({i, text[i]});
    lines.close();

    std::vector<std::string> ordered(text.size());
    for (std::size_t i = 0; i < text.size(); ++i) {
        auto [index, line] = results.get();
        ordered[index] = std::move(line);
    }
    for (const auto& line : ordered) std::printf("%s\n", line.c_str());
}
