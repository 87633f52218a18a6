// A dict that several workers fill at once, kept by a manager. Each update is one step in the manager's process, so
// none is lost.
#include <multiprocessing/multiprocessing.hpp>

#include <cstdio>
#include <string>
#include <vector>

using Votes = mp::managed::Dict<std::string, int>;

void vote(Votes votes, std::string name, int times) {
    for (int i = 0; i < times; ++i) votes.update(name, [](int& count) { ++count; });
}

int main() {
    mp::Manager manager;
    auto votes = manager.dict<std::string, int>();
    {
        std::vector<mp::Process> voters;
        for (const char* name : {"Ada", "Grace", "Ada", "Barbara"})
            voters.emplace_back(vote, votes, std::string(name), 50);
        for (auto& voter : voters) voter.start();
    }
    for (const auto& [name, count] : votes) std::printf("%s: %d\n", name.c_str(), count);
}
