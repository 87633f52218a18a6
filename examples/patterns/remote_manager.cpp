// A manager that others reach over TCP. Here the other is a process of the same program that knows nothing but address
// and key; it could run on another machine.
#include <multiprocessing/multiprocessing.hpp>

#include <cstdio>
#include <map>
#include <stdexcept>
#include <string>

/// A class of one's own: the manager serves it as it is.
class Bank {
  public:
    void open(const std::string& owner, int amount) { accounts_[owner] += amount; }
    int transfer(const std::string& from, const std::string& to, int amount) {
        if (accounts_[from] < amount) throw std::runtime_error(from + " has not got " + std::to_string(amount));
        accounts_[from] -= amount;
        return accounts_[to] += amount;
    }

  private:
    std::map<std::string, int> accounts_;
};

void remote(std::string address, std::string key) {
    auto there = mp::Manager::connect(address, key);
    auto bank = there.create<Bank>();
    bank.call<&Bank::open>("Ada", 100);
    std::printf("Grace has %d\n", bank.call<&Bank::transfer>("Ada", "Grace", 30));
    try {
        bank.call<&Bank::transfer>("Ada", "Grace", 100);
    } catch (const std::runtime_error& error) {
        std::printf("refused: %s\n", error.what());
    }
}

int main() {
    mp::Manager manager({.address = "localhost:0", .authkey = "a secret that both know"});
    {
        mp::Process client(remote, manager.address(), std::string("a secret that both know"));
        client.start();
    }
    try {
        mp::Manager::connect(manager.address(), "a guess");
    } catch (const mp::AuthenticationError&) {
        std::printf("a wrong key is refused\n");
    }
}
