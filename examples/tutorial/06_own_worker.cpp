// Chapter 6: a process class of one's own. What it does stands in run().
#include <multiprocessing/process.hpp>

class OwnWorker : public mp::Process {
  public:
    void run() override {
        // do things here
    }
};

int main() {
    OwnWorker worker;
    worker.start();
    worker.join();
    worker.close();
}
