/// \file
/// What a manager's server holds for managed containers. Calls are made one after the other.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <map>
#include <optional>
#include <set>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include <multiprocessing/detail/managed_call.hpp>
#include <multiprocessing/errors.hpp>

namespace mp::detail {

/// Runs a user's function on a value: one that returns nothing changes it in place, one that returns a value gives the
/// new one. An exception leaves the value as it was.
template <class V, class F>
void change(V& value, F& function) {
    if constexpr (std::is_invocable_v<F&, V&> && std::is_void_v<std::invoke_result_t<F&, V&>>) {
        V changed = value;
        std::invoke(function, changed);
        value = std::move(changed);
    } else {
        value = std::invoke(function, std::as_const(value));
    }
}
template <class F, class V>
concept changes = (std::is_invocable_v<F&, V&> && std::is_void_v<std::invoke_result_t<F&, V&>>) ||
                  std::is_convertible_v<std::invoke_result_t<F&, const V&>, V>;

template <class K, class V>
class ServedDict {
  public:
    using Map = std::map<K, V>;
    using Item = std::pair<K, V>;

    explicit ServedDict(Map initial) : map_(std::move(initial)) {}

    std::optional<V> get(const K& key) const {
        const auto found = map_.find(key);
        return found == map_.end() ? std::nullopt : std::optional<V>(found->second);
    }
    V at(const K& key) const {
        const auto found = map_.find(key);
        if (found == map_.end()) throw std::out_of_range("a managed dict has no such key");
        return found->second;
    }
    void set(K key, V value) { changed_ += map_.insert_or_assign(std::move(key), std::move(value)).second; }
    V setdefault(K key, V value) {
        const auto [place, is_new] = map_.try_emplace(std::move(key), std::move(value));
        changed_ += is_new;
        return place->second;
    }
    bool contains(const K& key) const { return map_.contains(key); }
    std::optional<V> pop(const K& key) {
        auto node = map_.extract(key);
        if (!node) return std::nullopt;
        ++changed_;
        return std::move(node.mapped());
    }
    std::optional<Item> popitem() {
        if (map_.empty()) return std::nullopt;
        ++changed_;
        auto node = map_.extract(std::prev(map_.end()));
        return Item(std::move(node.key()), std::move(node.mapped()));
    }
    std::size_t size() const { return map_.size(); }
    void clear() {
        changed_ += !map_.empty();
        map_.clear();
    }
    std::vector<K> keys() const {
        std::vector<K> result;
        for (const auto& [key, value] : map_) result.push_back(key);
        return result;
    }
    std::vector<V> values() const {
        std::vector<V> result;
        for (const auto& [key, value] : map_) result.push_back(value);
        return result;
    }
    std::vector<Item> items() const { return {map_.begin(), map_.end()}; }
    Map copy() const { return map_; }
    void merge(Map other) {
        for (auto& [key, value] : other) set(key, std::move(value));
    }

    std::uint64_t version() const { return changed_; }
    /// The first item, or the one behind `last`; throws when keys came or went since `version`.
    std::optional<Item> next(const std::optional<K>& last, std::uint64_t version) const {
        if (version != changed_) throw Error("a managed dict changed its keys during iteration");
        const auto place = last ? map_.upper_bound(*last) : map_.begin();
        return place == map_.end() ? std::nullopt : std::optional<Item>(*place);
    }

    template <class F>
    V update(const K& key, F& function) {
        const auto found = map_.find(key);
        V value = found == map_.end() ? V{} : found->second;
        change(value, function);
        set(key, value);
        return value;
    }

  private:
    Map map_;
    std::uint64_t changed_ = 0;  // counts keys that came or went
};

/// Python's places: negative ones count from the end.
inline std::size_t place_of(std::int64_t index, std::size_t size, const char* what) {
    const auto length = static_cast<std::int64_t>(size);
    const std::int64_t place = index < 0 ? index + length : index;
    if (place < 0 || place >= length)
        throw std::out_of_range(std::string(what) + " has no element " + std::to_string(index) + "; its size is " +
                                std::to_string(size));
    return static_cast<std::size_t>(place);
}
inline std::size_t clamp_place(std::int64_t index, std::size_t size) {
    const auto length = static_cast<std::int64_t>(size);
    return static_cast<std::size_t>(std::clamp<std::int64_t>(index < 0 ? index + length : index, 0, length));
}

template <class T>
class ServedList {
  public:
    using List = std::vector<T>;
    explicit ServedList(List initial) : list_(std::move(initial)) {}

    T at(std::int64_t index) const { return list_[place(index)]; }
    std::optional<T> get(std::uint64_t index) const {
        return index < list_.size() ? std::optional<T>(list_[index]) : std::nullopt;
    }
    void set(std::int64_t index, T value) { list_[place(index)] = std::move(value); }
    void append(T value) { list_.push_back(std::move(value)); }
    void extend(List values) {
        list_.insert(list_.end(), std::make_move_iterator(values.begin()), std::make_move_iterator(values.end()));
    }
    void insert(std::int64_t index, T value) {
        list_.insert(list_.begin() + static_cast<std::ptrdiff_t>(clamp_place(index, list_.size())), std::move(value));
    }
    T pop(std::int64_t index) {
        const auto at = list_.begin() + static_cast<std::ptrdiff_t>(place(index));
        T value = std::move(*at);
        list_.erase(at);
        return value;
    }
    void remove(const T& value) {
        const auto found = std::ranges::find(list_, value);
        if (found == list_.end()) throw std::invalid_argument("a managed list has no such value to remove");
        list_.erase(found);
    }
    std::optional<std::size_t> index(const T& value) const {
        const auto found = std::ranges::find(list_, value);
        if (found == list_.end()) return std::nullopt;
        return static_cast<std::size_t>(found - list_.begin());
    }
    std::size_t count(const T& value) const { return static_cast<std::size_t>(std::ranges::count(list_, value)); }
    std::size_t size() const { return list_.size(); }
    void clear() { list_.clear(); }
    void reverse() { std::ranges::reverse(list_); }
    void sort() { std::ranges::stable_sort(list_); }
    void repeat(std::size_t times) {
        if (times == 0) list_.clear();
        const List once = list_;
        for (; times > 1; --times) list_.insert(list_.end(), once.begin(), once.end());
    }
    List slice(std::int64_t begin, std::int64_t end) const {
        const std::size_t from = clamp_place(begin, list_.size()), to = clamp_place(end, list_.size());
        if (from >= to) return {};
        return List(list_.begin() + static_cast<std::ptrdiff_t>(from), list_.begin() + static_cast<std::ptrdiff_t>(to));
    }
    void set_slice(std::int64_t begin, std::int64_t end, List values) {
        const std::size_t from = clamp_place(begin, list_.size()), to = std::max(from, clamp_place(end, list_.size()));
        const auto at = list_.erase(list_.begin() + static_cast<std::ptrdiff_t>(from),
                                    list_.begin() + static_cast<std::ptrdiff_t>(to));
        list_.insert(at, std::make_move_iterator(values.begin()), std::make_move_iterator(values.end()));
    }
    List copy() const { return list_; }

    template <class F>
    T update(std::int64_t index, F& function) {
        T& value = list_[place(index)];
        change(value, function);
        return value;
    }

  private:
    std::size_t place(std::int64_t index) const { return place_of(index, list_.size(), "a managed list"); }
    List list_;
};

template <class T>
class ServedSet {
  public:
    using Set = std::set<T>;
    explicit ServedSet(Set initial) : set_(std::move(initial)) {}

    bool add(T value) { return set_.insert(std::move(value)).second; }
    bool discard(const T& value) { return set_.erase(value) != 0; }
    void remove(const T& value) {
        if (set_.erase(value) == 0) throw std::out_of_range("a managed set has no such value to remove");
    }
    std::optional<T> pop() {
        if (set_.empty()) return std::nullopt;
        return std::move(set_.extract(set_.begin()).value());
    }
    bool contains(const T& value) const { return set_.contains(value); }
    std::size_t size() const { return set_.size(); }
    void clear() { set_.clear(); }
    void update(Set other) { set_.merge(other); }
    void intersection_update(const Set& other) { set_ = intersection(other); }
    void difference_update(const Set& other) { set_ = difference(other); }
    void symmetric_difference_update(const Set& other) { set_ = symmetric_difference(other); }
    Set union_with(Set other) const {
        other.insert(set_.begin(), set_.end());
        return other;
    }
    Set intersection(const Set& other) const {
        Set result;
        std::ranges::set_intersection(set_, other, std::inserter(result, result.end()));
        return result;
    }
    Set difference(const Set& other) const {
        Set result;
        std::ranges::set_difference(set_, other, std::inserter(result, result.end()));
        return result;
    }
    Set symmetric_difference(const Set& other) const {
        Set result;
        std::ranges::set_symmetric_difference(set_, other, std::inserter(result, result.end()));
        return result;
    }
    bool issubset(const Set& other) const { return std::ranges::includes(other, set_); }
    bool issuperset(const Set& other) const { return std::ranges::includes(set_, other); }
    bool isdisjoint(const Set& other) const { return intersection(other).empty(); }
    Set copy() const { return set_; }

  private:
    Set set_;
};

template <class T>
class ServedValue {
  public:
    explicit ServedValue(T initial) : value_(std::move(initial)) {}
    T get() const { return value_; }
    void set(T value) { value_ = std::move(value); }
    template <class F>
    T update(F& function) {
        change(value_, function);
        return value_;
    }

  private:
    T value_;
};

class ServedNamespace {
  public:
    template <class T>
    void set(const std::string& name, T value) {
        check(name);
        attributes_[name] = {std::make_shared<T>(std::move(value)), hash_types<T>()};
    }
    template <class T>
    T get(const std::string& name) const {
        check(name);
        const auto found = attributes_.find(name);
        if (found == attributes_.end()) throw std::out_of_range("a managed namespace has no attribute \"" + name + '"');
        if (found->second.type != hash_types<T>())
            throw std::invalid_argument("attribute \"" + name + "\" of a managed namespace is of another type");
        return *static_cast<const T*>(found->second.value.get());
    }
    bool contains(const std::string& name) const { return attributes_.contains(name); }
    void remove(const std::string& name) {
        if (attributes_.erase(name) == 0)
            throw std::out_of_range("a managed namespace has no attribute \"" + name + '"');
    }
    std::vector<std::string> names() const {
        std::vector<std::string> result;
        for (const auto& [name, attribute] : attributes_) result.push_back(name);
        return result;
    }

  private:
    static void check(const std::string& name) {
        if (name.empty() || name[0] == '_')
            throw std::invalid_argument(
                "\"" + name +
                "\" cannot be an attribute of a managed namespace: names that are empty or begin "
                "with an underscore are not shared");
    }
    struct Attribute {
        std::shared_ptr<void> value;
        std::uint64_t type = 0;
    };
    std::map<std::string, Attribute> attributes_;
};

}  // namespace mp::detail
