// A value or a std::error_code: what every function of os, shm and transport that can fail returns.
// One place, raise() in errors.hpp's implementation, turns the code into an exception at the public face.
#pragma once

#include <cerrno>
#include <system_error>
#include <utility>
#include <variant>

namespace mp::base {

template <class T>
class [[nodiscard]] Expected {
  public:
    Expected(T value) : state_(std::in_place_index<0>, std::move(value)) {}
    Expected(std::error_code error) : state_(std::in_place_index<1>, error) {}

    explicit operator bool() const { return state_.index() == 0; }
    T& operator*() & { return std::get<0>(state_); }
    const T& operator*() const& { return std::get<0>(state_); }
    T&& operator*() && { return std::get<0>(std::move(state_)); }
    T* operator->() { return &std::get<0>(state_); }
    const T* operator->() const { return &std::get<0>(state_); }
    std::error_code error() const { return std::get<1>(state_); }

  private:
    std::variant<T, std::error_code> state_;
};

template <>
class [[nodiscard]] Expected<void> {
  public:
    Expected() = default;
    Expected(std::error_code error) : error_(error) {}

    explicit operator bool() const { return !error_; }
    std::error_code error() const { return error_; }

  private:
    std::error_code error_;
};

/// The error that the system call just before this one left in errno.
inline std::error_code last_error() { return {errno, std::system_category()}; }
inline std::error_code error_of(int number) { return {number, std::system_category()}; }

}  // namespace mp::base
