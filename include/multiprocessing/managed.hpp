/// \file
/// Proxies of what a Manager serves: containers, queues, locks. Each is a cheap copy that stands for the same object,
/// can travel, and throws Closed when the server is gone: see Proxy. Made by the Manager's members of the same names.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <iterator>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include <multiprocessing/detail/served_containers.hpp>
#include <multiprocessing/detail/served_queue.hpp>
#include <multiprocessing/detail/served_sync.hpp>
#include <multiprocessing/detail/wait_limit.hpp>
#include <multiprocessing/errors.hpp>
#include <multiprocessing/pool.hpp>
#include <multiprocessing/proxy.hpp>
#include <multiprocessing/synchronize.hpp>

/// Proxies of what a Manager serves.
namespace mp::managed {

/// A dictionary, in the order of its keys. `update` is one step in the server: no update is lost.
template <class K, class V>
class Dict : public Proxy<detail::ServedDict<K, V>> {
    using Served = detail::ServedDict<K, V>;

  public:
    using key_type = K;
    using mapped_type = V;
    using Proxy<Served>::Proxy;

    /// The value of a key, or nothing.
    std::optional<V> get(const K& key) const { return this->template call<&Served::get>(key); }
    /// The value of a key, or `otherwise`.
    V get(const K& key, const V& otherwise) const { return get(key).value_or(otherwise); }
    /// Throws std::out_of_range when there is no such key.
    V at(const K& key) const { return this->template call<&Served::at>(key); }
    /// Adds or replaces an entry.
    void set(const K& key, const V& value) const { this->template call<&Served::set>(key, value); }
    /// The value that is there, or else `value`, which then is.
    V setdefault(const K& key, const V& value) const { return this->template call<&Served::setdefault>(key, value); }
    /// Whether there is such a key.
    bool contains(const K& key) const { return this->template call<&Served::contains>(key); }
    /// Takes an entry out; nothing when there is none.
    std::optional<V> pop(const K& key) const { return this->template call<&Served::pop>(key); }
    /// Whether there was such an entry.
    bool erase(const K& key) const { return pop(key).has_value(); }
    /// Takes the last item.
    std::optional<std::pair<K, V>> popitem() const { return this->template call<&Served::popitem>(); }
    /// At the moment at which the server looked.
    std::size_t size() const { return this->template call<&Served::size>(); }
    /// As size().
    bool empty() const { return size() == 0; }
    /// Takes everything out, as one step.
    void clear() const { this->template call<&Served::clear>(); }
    /// All keys as they are at one instant, like values(), items() and copy().
    std::vector<K> keys() const { return this->template call<&Served::keys>(); }
    std::vector<V> values() const { return this->template call<&Served::values>(); }
    std::vector<std::pair<K, V>> items() const { return this->template call<&Served::items>(); }
    std::map<K, V> copy() const { return this->template call<&Served::copy>(); }
    /// Adds or replaces these entries, as one step.
    void update(const std::map<K, V>& other) const { this->template call<&Served::merge>(other); }
    /// Changes the value of a key as one step, in the server, and returns the new one. `function(V& value)` changes it
    /// in place, `V function(const V& value)` returns the new one; a key that was not there begins as `V{}`. The
    /// function is what a pool could run (bind objects with mp::bind). When it throws nothing has changed.
    template <class F>
        requires detail::changes<F, V>
    V update(const K& key, const F& function) const {
        return this->apply(
            [](Served& dict, const K& at, detail::Carried<std::decay_t<const F&>> change) {
                return dict.update(at, change.function);
            },
            key, detail::carry(function));
    }

    /// `d[key] = value`, `V v = d[key]`, and `d[key] += n`, which is one step.
    class Item {
      public:
        Item(const Dict& dict, K key) : dict_(dict), key_(std::move(key)) {}
        operator V() const { return dict_.at(key_); }
        const Item& operator=(const V& value) const {
            dict_.set(key_, value);
            return *this;
        }
        V operator+=(const V& more) const {
            return dict_.apply(
                [](Served& dict, const K& at, const V& add) {
                    auto change = [&add](V& value) { value += add; };
                    return dict.update(at, change);
                },
                key_, more);
        }

      private:
        const Dict& dict_;
        K key_;
    };
    /// The entry: read as a value, written by `=` and `+=`, each one step.
    Item operator[](const K& key) const { return Item(*this, key); }

    /// Goes through the items, one call for each. A key that comes or goes meanwhile is an Error of the next step.
    class iterator {
      public:
        using value_type = std::pair<K, V>;
        using difference_type = std::ptrdiff_t;
        iterator() = default;
        explicit iterator(const Dict& dict) : dict_(&dict), version_(dict.template call<&Served::version>()) {
            step({});
        }
        const value_type& operator*() const { return *item_; }
        const value_type* operator->() const { return &*item_; }
        iterator& operator++() {
            step(item_->first);
            return *this;
        }
        void operator++(int) { ++*this; }
        friend bool operator==(const iterator& a, std::default_sentinel_t) { return !a.item_; }

      private:
        void step(const std::optional<K>& last) { item_ = dict_->template call<&Served::next>(last, version_); }
        const Dict* dict_ = nullptr;
        std::uint64_t version_ = 0;
        std::optional<value_type> item_;
    };
    iterator begin() const { return iterator(*this); }
    std::default_sentinel_t end() const { return {}; }
};

/// A list. Places count from the end when they are negative; std::out_of_range for one that is not there.
template <class T>
class List : public Proxy<detail::ServedList<T>> {
    using Served = detail::ServedList<T>;

  public:
    using value_type = T;
    using Proxy<Served>::Proxy;

    /// A copy of the element.
    T at(std::int64_t index) const { return this->template call<&Served::at>(index); }
    T operator[](std::int64_t index) const { return at(index); }
    /// Replaces the element.
    void set(std::int64_t index, const T& value) const { this->template call<&Served::set>(index, value); }
    /// Adds one at the end.
    void append(const T& value) const { this->template call<&Served::append>(value); }
    /// Adds all at the end, as one step.
    void extend(const std::vector<T>& values) const { this->template call<&Served::extend>(values); }
    /// Before the element there; places outside mean the ends.
    void insert(std::int64_t index, const T& value) const { this->template call<&Served::insert>(index, value); }
    /// Takes an element out.
    T pop(std::int64_t index = -1) const { return this->template call<&Served::pop>(index); }
    /// The first that is equal; std::invalid_argument when there is none.
    void remove(const T& value) const { this->template call<&Served::remove>(value); }
    /// The place of the first that is equal.
    std::optional<std::size_t> index(const T& value) const { return this->template call<&Served::index>(value); }
    /// How many are equal.
    std::size_t count(const T& value) const { return this->template call<&Served::count>(value); }
    /// Whether it is there.
    bool contains(const T& value) const { return index(value).has_value(); }
    /// At the moment at which the server looked.
    std::size_t size() const { return this->template call<&Served::size>(); }
    /// As size().
    bool empty() const { return size() == 0; }
    /// Takes everything out, as one step.
    void clear() const { this->template call<&Served::clear>(); }
    /// In place, as one step.
    void reverse() const { this->template call<&Served::reverse>(); }
    /// In place, by `<`, as one step.
    void sort() const { this->template call<&Served::sort>(); }
    /// As Python's slices: what is outside is left out.
    std::vector<T> slice(std::int64_t begin, std::int64_t end) const {
        return this->template call<&Served::slice>(begin, end);
    }
    /// Replaces the elements of a slice, whose length may change.
    void set_slice(std::int64_t begin, std::int64_t end, const std::vector<T>& values) const {
        this->template call<&Served::set_slice>(begin, end, values);
    }
    /// All elements as they are at one moment.
    std::vector<T> copy() const { return this->template call<&Served::copy>(); }
    const List& operator+=(const std::vector<T>& values) const {
        extend(values);
        return *this;
    }
    const List& operator*=(std::size_t times) const {
        this->template call<&Served::repeat>(times);
        return *this;
    }
    friend std::vector<T> operator+(const List& list, const std::vector<T>& more) {
        auto result = list.copy();
        result.insert(result.end(), more.begin(), more.end());
        return result;
    }
    /// See Dict::update.
    template <class F>
        requires detail::changes<F, T>
    T update(std::int64_t index, const F& function) const {
        return this->apply(
            [](Served& list, std::int64_t at, detail::Carried<std::decay_t<const F&>> change) {
                return list.update(at, change.function);
            },
            index, detail::carry(function));
    }

    /// Goes by place, so that it sees what changes meanwhile.
    class iterator {
      public:
        using value_type = T;
        using difference_type = std::ptrdiff_t;
        iterator() = default;
        explicit iterator(const List& list) : list_(&list) { step(); }
        const T& operator*() const { return *value_; }
        iterator& operator++() {
            ++place_;
            step();
            return *this;
        }
        void operator++(int) { ++*this; }
        friend bool operator==(const iterator& a, std::default_sentinel_t) { return !a.value_; }

      private:
        void step() { value_ = list_->template call<&Served::get>(place_); }
        const List* list_ = nullptr;
        std::uint64_t place_ = 0;
        std::optional<T> value_;
    };
    iterator begin() const { return iterator(*this); }
    std::default_sentinel_t end() const { return {}; }
};

/// A set, in order.
template <class T>
class Set : public Proxy<detail::ServedSet<T>> {
    using Served = detail::ServedSet<T>;

  public:
    using value_type = T;
    using Proxy<Served>::Proxy;

    /// Whether it is new.
    bool add(const T& value) const { return this->template call<&Served::add>(value); }
    /// Whether it was there.
    bool discard(const T& value) const { return this->template call<&Served::discard>(value); }
    /// Throws std::out_of_range when it is not there.
    void remove(const T& value) const { this->template call<&Served::remove>(value); }
    /// Takes the first out; nothing when it is empty.
    std::optional<T> pop() const { return this->template call<&Served::pop>(); }
    /// Whether it is there.
    bool contains(const T& value) const { return this->template call<&Served::contains>(value); }
    /// At the moment at which the server looked.
    std::size_t size() const { return this->template call<&Served::size>(); }
    /// As size().
    bool empty() const { return size() == 0; }
    /// Takes everything out, as one step.
    void clear() const { this->template call<&Served::clear>(); }
    /// Adds all of the other, as one step.
    void update(const std::set<T>& other) const { this->template call<&Served::update>(other); }
    /// Keeps what is in both, as one step.
    void intersection_update(const std::set<T>& other) const {
        this->template call<&Served::intersection_update>(other);
    }
    /// Takes out what is in the other, as one step.
    void difference_update(const std::set<T>& other) const { this->template call<&Served::difference_update>(other); }
    /// Keeps what is in one of them alone, as one step.
    void symmetric_difference_update(const std::set<T>& other) const {
        this->template call<&Served::symmetric_difference_update>(other);
    }
    /// What is in either.
    std::set<T> union_with(const std::set<T>& other) const { return this->template call<&Served::union_with>(other); }
    /// What is in both.
    std::set<T> intersection(const std::set<T>& other) const {
        return this->template call<&Served::intersection>(other);
    }
    /// What is not in the other.
    std::set<T> difference(const std::set<T>& other) const { return this->template call<&Served::difference>(other); }
    /// What is in one of them alone.
    std::set<T> symmetric_difference(const std::set<T>& other) const {
        return this->template call<&Served::symmetric_difference>(other);
    }
    /// Whether the other has all of it.
    bool issubset(const std::set<T>& other) const { return this->template call<&Served::issubset>(other); }
    /// Whether it has all of the other.
    bool issuperset(const std::set<T>& other) const { return this->template call<&Served::issuperset>(other); }
    /// Whether they have nothing in common.
    bool isdisjoint(const std::set<T>& other) const { return this->template call<&Served::isdisjoint>(other); }
    /// All elements as they are at one moment.
    std::set<T> copy() const { return this->template call<&Served::copy>(); }
};

/// One value. `update` is one step.
template <class T>
class Value : public Proxy<detail::ServedValue<T>> {
    using Served = detail::ServedValue<T>;

  public:
    using Proxy<Served>::Proxy;

    /// A copy of the value.
    T get() const { return this->template call<&Served::get>(); }
    operator T() const { return get(); }
    /// Replaces it.
    void set(const T& value) const { this->template call<&Served::set>(value); }
    /// See Dict::update.
    template <class F>
        requires detail::changes<F, T>
    T update(const F& function) const {
        return this->apply(
            [](Served& value, detail::Carried<std::decay_t<const F&>> change) { return value.update(change.function); },
            detail::carry(function));
    }
    /// Adds in the server, as one step; the new value.
    T operator+=(const T& more) const {
        return this->apply(
            [](Served& served, const T& add) {
                auto change = [&add](T& value) { value += add; };
                return served.update(change);
            },
            more);
    }
};

/// Attributes by name, each of a type of its own. Names that begin with an underscore are refused, as what Python keeps
/// out of a shared namespace.
class Namespace : public Proxy<detail::ServedNamespace> {
    using Served = detail::ServedNamespace;

  public:
    using Proxy<Served>::Proxy;

    /// Makes or replaces an attribute. Throws std::invalid_argument for a name with an underscore in front.
    template <class T>
    void set(const std::string& name, const T& value) const {
        apply([](Served& served, const std::string& key, const T& to) { served.set<T>(key, to); }, name, value);
    }
    /// Text, as a std::string.
    void set(const std::string& name, const char* value) const { set(name, std::string(value)); }
    /// Throws std::out_of_range when there is none, std::invalid_argument when it is of another type.
    template <class T>
    T get(const std::string& name) const {
        return apply([](Served& served, const std::string& key) { return served.get<T>(key); }, name);
    }
    /// Whether there is such an attribute.
    bool contains(const std::string& name) const { return call<&Served::contains>(name); }
    /// Takes it out. Throws std::out_of_range when there is none.
    void remove(const std::string& name) const { call<&Served::remove>(name); }
    /// Of all attributes, sorted.
    std::vector<std::string> names() const { return call<&Served::names>(); }
};

/// As mp::Queue, for processes on any machine. A get that waits holds up nobody and ends with its process.
template <class T>
class Queue : public Proxy<detail::ServedQueue<T>> {
    using Served = detail::ServedQueue<T>;

  public:
    using value_type = T;
    using Proxy<Served>::Proxy;

    /// Throws Closed when the queue is closed.
    void put(const T& item) const { (void)put_within(item, detail::forever); }
    /// False when it stayed full.
    template <class Rep, class Period>
    [[nodiscard]] bool put_for(const T& item, std::chrono::duration<Rep, Period> limit) const {
        return put_within(item, detail::wait_limit(limit));
    }
    /// False when it is full.
    [[nodiscard]] bool try_put(const T& item) const { return put_within(item, detail::not_at_all); }
    /// Throws Closed when the queue is closed and empty.
    T get() const { return *std::move(take(detail::forever)); }
    /// Nothing when nothing came in time.
    template <class Rep, class Period>
    std::optional<T> get_for(std::chrono::duration<Rep, Period> limit) const {
        return take(detail::wait_limit(limit));
    }
    /// Nothing when it is empty.
    std::optional<T> try_get() const { return take(detail::not_at_all); }
    /// How many items are inside, at the moment at which the server looked.
    std::size_t qsize() const { return this->template call<&Served::qsize>(); }
    /// As qsize().
    bool empty() const { return qsize() == 0; }
    /// Whether put would wait.
    bool full() const {
        const std::size_t most = maxsize();
        return most != 0 && qsize() >= most;
    }
    /// The most items it holds; 0: no limit.
    std::size_t maxsize() const { return this->template call<&Served::maxsize>(); }
    /// No more puts, by anybody. What is inside can still be taken.
    void close() const { this->template call<&Served::close>(); }
    /// Whether somebody has closed it.
    bool closed() const { return this->template call<&Served::closed>(); }

  private:
    bool put_within(const T& item, detail::WaitLimit limit) const {
        const auto outcome = this->template call<&Served::put>(item, limit);
        if (outcome == detail::ServedOutcome::closed) throw Closed("the managed queue is closed");
        return outcome == detail::ServedOutcome::done;
    }
    std::optional<T> take(detail::WaitLimit limit) const {
        auto taken = this->template call<&Served::get>(limit);
        if (taken.outcome == detail::ServedOutcome::closed) throw Closed("the managed queue is closed and empty");
        return std::move(taken.item);
    }
};

/// As mp::JoinableQueue.
template <class T>
class JoinableQueue : public Queue<T> {
    using Served = detail::ServedQueue<T>;

  public:
    using Queue<T>::Queue;
    /// One item that was taken is worked off. Throws Error when there are no more.
    void task_done() const { this->template call<&Served::task_done>(); }
    /// Waits until all items that were put are worked off.
    void join() const { (void)this->template call<&Served::join>(detail::forever); }
    /// False when they were not in time.
    template <class Rep, class Period>
    [[nodiscard]] bool join_for(std::chrono::duration<Rep, Period> limit) const {
        return this->template call<&Served::join>(detail::wait_limit(limit));
    }
};

/// What managed locks have in common; usable with std::scoped_lock and std::unique_lock. The owner is a thread of a
/// process; when that process dies the next owner has the lock and is told.
template <class Served>
class BasicLock : public Proxy<Served> {
  public:
    using Proxy<Served>::Proxy;
    /// Waits for the lock. Throws Closed when the server is gone, as the others do.
    void lock() { (void)acquire(detail::forever); }
    /// False when another has it.
    [[nodiscard]] bool try_lock() { return acquire(detail::not_at_all); }
    /// False when it did not become free in time.
    template <class Rep, class Period>
    [[nodiscard]] bool try_lock_for(std::chrono::duration<Rep, Period> limit) {
        return acquire(detail::wait_limit(limit));
    }
    /// False when it did not become free by then.
    template <class Clock, class Duration>
    [[nodiscard]] bool try_lock_until(std::chrono::time_point<Clock, Duration> limit) {
        return acquire(detail::wait_limit(limit));
    }
    /// Throws Error when the caller does not have it. When the server is gone nobody has it any more: that is no error
    /// here, where guards come in their destructors; the next lock() throws Closed.
    void unlock() {
        try {
            this->template call<&Served::release>();
        } catch (const Closed&) {
        }
    }
    /// Whether the owner before died with the lock, as the last lock() through this copy found.
    bool recovered() const noexcept { return recovered_; }

  private:
    bool acquire(detail::WaitLimit limit) {
        const detail::Acquired got = this->template call<&Served::acquire>(limit);
        if (got.acquired) recovered_ = got.recovered;
        return got.acquired;
    }
    bool recovered_ = false;
};

/// Of one owner, who may not lock it again.
class Lock : public BasicLock<detail::ServedLock> {
  public:
    using BasicLock::BasicLock;
    /// Whether somebody has it.
    bool locked() const { return call<&detail::ServedLock::locked>(); }
};
/// Its owner may lock it again; it is free after as many unlocks.
class RLock : public Lock {
  public:
    using Lock::Lock;
};

/// Counts permits, as mp::Semaphore.
class Semaphore : public Proxy<detail::ServedSemaphore> {
    using Served = detail::ServedSemaphore;

  public:
    using Proxy<Served>::Proxy;
    /// Takes a permit; waits while there are none.
    void acquire() { (void)call<&Served::acquire>(detail::forever); }
    /// False when there is none.
    [[nodiscard]] bool try_acquire() { return call<&Served::acquire>(detail::not_at_all); }
    /// False when there was none in time.
    template <class Rep, class Period>
    [[nodiscard]] bool try_acquire_for(std::chrono::duration<Rep, Period> limit) {
        return call<&Served::acquire>(detail::wait_limit(limit));
    }
    /// Adds permits, by whoever likes.
    void release(std::size_t permits = 1) { call<&Served::release>(permits); }
    /// Permits left, at the moment at which the server looked.
    std::size_t value() const { return call<&Served::value>(); }
    /// acquire(), for std::scoped_lock.
    void lock() { acquire(); }
    /// try_acquire().
    [[nodiscard]] bool try_lock() { return try_acquire(); }
    /// release().
    void unlock() { release(); }
};
/// Never more permits than at the beginning: Error. A dead process's permits come back.
class BoundedSemaphore : public Semaphore {
  public:
    using Semaphore::Semaphore;
};

/// A condition with its own lock, which the same thread may take again.
class Condition : public BasicLock<detail::ServedCondition> {
    using Served = detail::ServedCondition;

  public:
    using BasicLock::BasicLock;
    /// Gives the lock up, waits to be notified, takes it again. Throws Error when the caller does not have it.
    void wait() { (void)call<&Served::wait>(detail::forever); }
    /// False when nobody notified in time.
    template <class Rep, class Period>
    bool wait_for(std::chrono::duration<Rep, Period> limit) {
        return call<&Served::wait>(detail::wait_limit(limit));
    }
    /// Waits until `ready()`, which is called here, with the lock held.
    template <class Ready>
        requires std::is_invocable_r_v<bool, Ready&>
    void wait(Ready ready) {
        while (!ready()) wait();
    }
    /// Wakes as many as `count` of those that wait now.
    void notify_one(std::size_t count = 1) { call<&Served::notify>(count); }
    /// Wakes all that wait now.
    void notify_all() { call<&Served::notify>(~std::size_t{0}); }
};

/// A flag to wait for, as mp::Event.
class Event : public Proxy<detail::ServedEvent> {
    using Served = detail::ServedEvent;

  public:
    using Proxy<Served>::Proxy;
    /// Sets the flag and lets all waiters go on.
    void set() { call<&Served::set>(); }
    /// Down again: who comes later waits.
    void clear() { call<&Served::clear>(); }
    /// Whether wait() would not wait.
    bool is_set() const { return call<&Served::is_set>(); }
    /// Waits until the flag is set.
    void wait() { (void)call<&Served::wait>(detail::forever); }
    /// False when that took longer.
    template <class Rep, class Period>
    bool wait_for(std::chrono::duration<Rep, Period> limit) {
        return call<&Served::wait>(detail::wait_limit(limit));
    }
};

/// A party that dies or gives up while it waits breaks it for the others: BrokenBarrier.
class Barrier : public Proxy<detail::ServedBarrier> {
    using Served = detail::ServedBarrier;

  public:
    using Proxy<Served>::Proxy;
    /// The caller's place in the round, from 0.
    std::size_t wait() { return arrive(detail::forever); }
    /// Breaks the barrier when not all arrive in time.
    template <class Rep, class Period>
    std::size_t wait_for(std::chrono::duration<Rep, Period> limit) {
        return arrive(detail::wait_limit(limit));
    }
    /// Who waits now meets BrokenBarrier; after that it is as new.
    void reset() { call<&Served::reset>(); }
    /// Breaks it: who waits, and who comes, gets BrokenBarrier.
    void abort() { call<&Served::abort>(); }
    /// How many must come together.
    std::size_t parties() const { return call<&Served::parties>(); }
    /// How many wait now.
    std::size_t waiting() const { return call<&Served::waiting>(); }
    /// Whether waiting throws.
    bool broken() const { return call<&Served::broken>(); }

  private:
    std::size_t arrive(detail::WaitLimit limit) {
        const auto place = call<&Served::wait>(limit);
        if (place == Served::was_broken)
            throw BrokenBarrier("the managed barrier is broken: a party gave up, died or reset it");
        return place;
    }
};

}  // namespace mp::managed

namespace mp::detail {

/// A pool whose workers are the server's.
class ServedPool {
  public:
    static constexpr bool is_thread_safe = true;
    explicit ServedPool(int workers) : pool_(workers) {}
    mp::Pool& pool() { return pool_; }

  private:
    mp::Pool pool_;
};

}  // namespace mp::detail

namespace mp::managed {

/// A pool that lives in the server, with workers on its machine.
class Pool : public Proxy<detail::ServedPool> {
    using Served = detail::ServedPool;

  public:
    using Proxy<Served>::Proxy;

    /// `function(args...)` in one of its workers.
    template <class F, class... Args>
    auto apply(const F& function, const Args&... args) const {
        return Proxy<Served>::apply(
            [](Served& served, const detail::Carried<std::decay_t<const F&>>& run, const std::decay_t<Args>&... given) {
                return served.pool().apply(run.function, given...);
            },
            detail::carry(function), args...);
    }
    template <class F, class T>
    auto map(const F& function, const std::vector<T>& inputs) const {
        return Proxy<Served>::apply([](Served& served, const detail::Carried<std::decay_t<const F&>>& run,
                                       const std::vector<T>& all) { return served.pool().map(run.function, all); },
                                    detail::carry(function), inputs);
    }
};

}  // namespace mp::managed
