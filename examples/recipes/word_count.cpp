// Counts the words of many files: each worker counts one file, and the counts are added up as they come.
//     recipes_word_count FILE...
#include <multiprocessing/pool.hpp>

#include <algorithm>
#include <cctype>
#include <cstdio>
#include <fstream>
#include <map>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

using Counts = std::map<std::string, int>;

Counts count_words(const std::string& path) {
    std::ifstream file(path);
    if (!file) throw std::runtime_error("cannot open " + path);
    Counts counts;
    for (std::string word; file >> word;) {
        std::erase_if(word, [](unsigned char c) { return !std::isalnum(c); });
        for (char& c : word) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
        if (!word.empty()) ++counts[word];
    }
    return counts;
}

int main(int argc, char** argv) {
    const std::vector<std::string> files(argv + 1, argv + argc);
    mp::Pool pool;
    Counts total;
    for (const auto& outcome : pool.imap_unordered_outcomes(count_words, files)) {
        if (!outcome) {
            std::fprintf(stderr, "%s\n", outcome.error().what());
            continue;
        }
        for (const auto& [word, count] : *outcome) total[word] += count;
    }

    std::vector<std::pair<std::string, int>> order(total.begin(), total.end());
    std::ranges::stable_sort(order, [](const auto& a, const auto& b) { return a.second > b.second; });
    for (std::size_t i = 0; i < std::min<std::size_t>(10, order.size()); ++i)
        std::printf("%6d %s\n", order[i].second, order[i].first.c_str());
}
