/// \file
/// Manager: a process that serves objects to other processes, on this machine and others.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include <multiprocessing/export.hpp>
#include <multiprocessing/managed.hpp>
#include <multiprocessing/pool_options.hpp>
#include <multiprocessing/proxy.hpp>

namespace mp {

/// How a Manager is set up.
struct ManagerOptions {
    /// Where it listens, as a Listener's: left out, an abstract Unix socket for processes of this machine.
    std::string address{};
    /// What who connects must have; left out, random: then only proxies that travel give access. Anybody who has it can
    /// run code in the server.
    std::optional<std::string> authkey{};
    std::string name = "manager";  ///< of the process
    /// Called in the server before it serves; one that throws makes the constructor throw.
    Initializer initializer{};
};

/// Serves objects from a process of its own. Its members make objects there and return proxies of them:
/// \code
/// mp::Manager manager;
/// auto counts = manager.dict<std::string, int>();
/// pool.for_each(...);                                    // workers: counts.update(word, [](int& n) { ++n; });
/// auto shop = manager.create<Shop>("corner");            // a class of one's own, with nothing declared anywhere
/// shop.call<&Shop::sell>(3);
/// \endcode
/// Other processes of the same program get proxies as arguments and messages, or connect by address and key, from other
/// machines too: mp::Manager::connect("host:6000", "key"). What they run there must be the same build.
///
/// Each client process has a thread of the server for each of its calls under way, so that one that waits holds up
/// nobody. A client that dies gives up what it held: references, locks, its place in a barrier. The server ignores
/// Ctrl-C and ends with the Manager, or its process however that ends; calls of proxies then throw Closed. Any thread
/// may use it; shutdown() and moving while nobody else does.
///
/// Limits: a call's arguments and its result each have any size that fits into the memory of both sides, and up to 16384
/// handles on one machine. Clients, objects and calls under way are limited by the server's descriptors and threads alone:
/// a client process has one connection open, one more for each call under way, and keeps up to 8 of them for the next
/// calls. 64 clients may be proving their keys at once, each for 5 s; connecting takes at most 20 s. Calls have no time limit
/// but those that are given one (`get_for`, `try_lock_for` ...): they end with the server.
class MP_EXPORT Manager {
  public:
    /// Starts the server. Throws SystemError when that or the address is refused, Error, and what the initializer
    /// threw.
    explicit Manager(ManagerOptions options);
    Manager();
    /// A running one, of any process: its members work, but it is the owner who ends it. Throws AuthenticationError
    /// when the keys differ, SystemError when nobody listens there, Closed when it ends meanwhile.
    static Manager connect(const std::string& address, const std::string& authkey);
    Manager(Manager&& other) noexcept;
    Manager& operator=(Manager&& other) noexcept;
    /// As shutdown(); in a fork of the owner nothing.
    ~Manager();

    /// Where it listens: what connect() takes, with authkey().
    const std::string& address() const;
    /// The key that connect() needs.
    const std::string& authkey() const;
    /// Ends the server, if this is its owner, and waits for that: calls under way end with Closed. Code of the user's
    /// that runs there is given two seconds.
    void shutdown();
    /// Of the server's process; empty when this is not its owner.
    std::optional<pid_t> pid() const;
    /// Of the server's process once it has ended: 0 after shutdown().
    std::optional<int> exitcode() const;

    /// An object of class T, made there from the arguments.
    template <class T, class... Args>
    Proxy<T> create(const Args&... args) const {
        return make<Proxy<T>, T, std::decay_t<Args>...>(args...);
    }

    /// A dictionary, with these entries.
    template <class K, class V>
    managed::Dict<K, V> dict(const std::map<K, V>& initial = {}) const {
        return make<managed::Dict<K, V>, detail::ServedDict<K, V>, std::map<K, V>>(initial);
    }
    /// A list, with these elements.
    template <class T>
    managed::List<T> list(const std::vector<T>& initial = {}) const {
        return make<managed::List<T>, detail::ServedList<T>, std::vector<T>>(initial);
    }
    /// A set, with these elements.
    template <class T>
    managed::Set<T> set(const std::set<T>& initial = {}) const {
        return make<managed::Set<T>, detail::ServedSet<T>, std::set<T>>(initial);
    }
    /// One value.
    template <class T>
    managed::Value<T> Value(const T& initial = {}) const {
        return make<managed::Value<T>, detail::ServedValue<T>, T>(initial);
    }
    /// A list of a given size.
    template <class T>
    managed::List<T> Array(std::size_t size) const {
        return list(std::vector<T>(size));
    }
    /// Named values of any types.
    managed::Namespace Namespace() const { return make<managed::Namespace, detail::ServedNamespace>(); }
    /// A queue; `maxsize` 0: without bound.
    template <class T>
    managed::Queue<T> Queue(std::size_t maxsize = 0) const {
        return make<managed::Queue<T>, detail::ServedQueue<T>, std::size_t>(maxsize);
    }
    /// A queue that counts what was worked off.
    template <class T>
    managed::JoinableQueue<T> JoinableQueue(std::size_t maxsize = 0) const {
        return make<managed::JoinableQueue<T>, detail::ServedQueue<T>, std::size_t>(maxsize);
    }
    /// A lock; whose holder dies, it is free again.
    managed::Lock Lock() const { return make<managed::Lock, detail::ServedLock, bool>(false); }
    /// A lock that its holder may take again.
    managed::RLock RLock() const { return make<managed::RLock, detail::ServedLock, bool>(true); }
    /// A semaphore with so many permits.
    managed::Semaphore Semaphore(std::size_t permits = 1) const {
        return make<managed::Semaphore, detail::ServedSemaphore, std::size_t, bool>(permits, false);
    }
    /// One that never has more than it began with.
    managed::BoundedSemaphore BoundedSemaphore(std::size_t permits = 1) const {
        return make<managed::BoundedSemaphore, detail::ServedSemaphore, std::size_t, bool>(permits, true);
    }
    /// A condition with a lock of its own.
    managed::Condition Condition() const { return make<managed::Condition, detail::ServedCondition>(); }
    /// An event, not set.
    managed::Event Event() const { return make<managed::Event, detail::ServedEvent>(); }
    /// A barrier for so many.
    managed::Barrier Barrier(std::size_t parties) const {
        return make<managed::Barrier, detail::ServedBarrier, std::size_t>(parties);
    }
    /// A pool with workers on the machine of the manager.
    managed::Pool Pool(int workers) const { return make<managed::Pool, detail::ServedPool, int>(workers); }

  private:
    struct Owned;

    Manager(std::shared_ptr<detail::ManagerLink> link, std::string authkey);
    std::shared_ptr<detail::ManagerLink> link() const;

    template <class P, class T, class... Args>
    P make(const Args&... args) const {
        return P(detail::managed_make_object<T, Args...>(link(), args...));
    }

    std::shared_ptr<Owned> owned_;
    std::shared_ptr<detail::ManagerLink> link_;
    std::string authkey_;
};

}  // namespace mp
