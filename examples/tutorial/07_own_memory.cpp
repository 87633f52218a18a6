// Chapter 7: an own worker with tasks and results as members. The results stay in the worker: the main program sees
// none.
#include <multiprocessing/process.hpp>

#include <cstdio>
#include <utility>
#include <vector>

class OwnWorker : public mp::Process {
  public:
    explicit OwnWorker(std::vector<int> given) : tasks(std::move(given)) {}

    void run() override {
        for (int value : tasks) results.push_back(value + 1);
        std::printf("results in the worker: %zu\n", results.size());
    }

    std::vector<int> tasks, results;
};

int main() {
    OwnWorker worker({0, 1, 2, 3, 4, 5});
    worker.start();
    worker.join();
    worker.close();
    std::printf("results in the main program: %zu\n", worker.results.size());  // 0: each process has its own memory
}
