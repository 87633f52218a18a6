// MapReduce: the text is cut into pieces, workers count the words of each, and the counts are added up.
#include <multiprocessing/multiprocessing.hpp>

#include <algorithm>
#include <cstdio>
#include <map>
#include <sstream>
#include <string>
#include <vector>

using Counts = std::map<std::string, int>;

Counts count_words(const std::string& text) {
    Counts counts;
    std::istringstream words(text);
    for (std::string word; words >> word;) ++counts[word];
    return counts;
}

int main() {
    const std::vector<std::string> pieces = {
        "the quick brown fox jumps over the lazy dog",
        "the dog sleeps and the fox runs",
        "a quick dog is a happy dog",
    };
    mp::Pool pool(2);
    Counts all;
    for (const Counts& counts : pool.map(count_words, pieces))
        for (const auto& [word, count] : counts) all[word] += count;

    std::vector<std::pair<std::string, int>> ranked(all.begin(), all.end());
    std::ranges::stable_sort(ranked, [](const auto& a, const auto& b) { return a.second > b.second; });
    for (std::size_t i = 0; i < 3; ++i) std::printf("%s %d\n", ranked[i].first.c_str(), ranked[i].second);
}
