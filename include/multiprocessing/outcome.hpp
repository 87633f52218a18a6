/// \file
/// A value or what went wrong instead, task by task.
#pragma once

#include <exception>
#include <iosfwd>
#include <string>
#include <utility>
#include <variant>

#include <multiprocessing/errors.hpp>
#include <multiprocessing/export.hpp>
#include <multiprocessing/remote_error.hpp>

namespace mp {

/// An error to look at, print or throw. Holds the exception; copies share it. Names and lines of stacks are read when it
/// is printed, not before.
class Failure {
  public:
    /// No result, and no reason for it: what a default-constructed Outcome holds.
    Failure() = default;
    /// Holds what was thrown.
    explicit Failure(std::exception_ptr exception) : exception_(std::move(exception)) {}

    /// The exception's own text. Lives as long as any copy of this.
    MP_EXPORT const char* what() const noexcept;
    /// The exception itself; null for a default-constructed Failure.
    const std::exception_ptr& exception() const noexcept { return exception_; }
    /// Throws it.
    [[noreturn]] MP_EXPORT void rethrow() const;

    /// The error as a T when `catch (const T&)` would catch it, null otherwise: `as<std::invalid_argument>()`. Lives as
    /// long as any copy of this.
    template <class T>
    const T* as() const noexcept {
        if (!exception_) return nullptr;
        try {
            std::rethrow_exception(exception_);
        } catch (const T& error) {
            return &error;
        } catch (...) {
            return nullptr;
        }
    }
    /// Set when the worker died.
    const WorkerLost* worker_lost() const noexcept { return as<WorkerLost>(); }
    /// Set when the task threw.
    const RemoteError* remote() const noexcept { return as<RemoteError>(); }

    /// What `<<` writes: the text, with task and process, and the stack indented below it; no newline at the end.
    MP_EXPORT std::string to_string() const;

  private:
    std::exception_ptr exception_;
};

/// Writes to_string().
MP_EXPORT std::ostream& operator<<(std::ostream& out, const Failure& failure);

/// What became of one task: its value, or the error that it ended with. Copyable when R is.
template <class R>
class [[nodiscard]] Outcome {
  public:
    using value_type = R;

    /// Neither result nor reason: false, and value() throws PoolBroken.
    Outcome() : state_(std::in_place_index<1>) {}
    /// The task's result.
    Outcome(R value) : state_(std::in_place_index<0>, std::move(value)) {}
    /// The error that it ended with.
    Outcome(Failure failure) : state_(std::in_place_index<1>, std::move(failure)) {}
    /// The error that it ended with, as it was thrown.
    explicit Outcome(std::exception_ptr exception) : Outcome(Failure(std::move(exception))) {}

    /// has_value().
    explicit operator bool() const noexcept { return has_value(); }
    /// Whether the task has ended well.
    bool has_value() const noexcept { return state_.index() == 0; }

    /// The value; throws the error when there is none.
    R& value() & { return check(), *std::get_if<0>(&state_); }
    const R& value() const& { return check(), *std::get_if<0>(&state_); }
    R&& value() && { return check(), std::move(*std::get_if<0>(&state_)); }
    /// value(), and so it throws too.
    R& operator*() & { return value(); }
    const R& operator*() const& { return value(); }
    R&& operator*() && { return std::move(*this).value(); }
    R* operator->() { return &value(); }
    const R* operator->() const { return &value(); }

    /// The value, or `other` when there is none.
    template <class U>
    R value_or(U&& other) const& {
        return has_value() ? **this : static_cast<R>(std::forward<U>(other));
    }
    /// The value moved out, or `other` when there is none.
    template <class U>
    R value_or(U&& other) && {
        return has_value() ? *std::move(*this) : static_cast<R>(std::forward<U>(other));
    }

    /// The error. Only when there is one: otherwise std::bad_variant_access.
    const Failure& error() const& { return std::get<1>(state_); }
    Failure error() && { return std::get<1>(std::move(state_)); }

  private:
    void check() const {
        if (const Failure* failure = std::get_if<1>(&state_)) failure->rethrow();
    }

    std::variant<R, Failure> state_;
};

/// For a task without a result: that it was done, or the error.
template <>
class [[nodiscard]] Outcome<void> {
  public:
    using value_type = void;

    /// Neither done nor a reason: false.
    Outcome() : state_(std::in_place_index<1>) {}
    /// Done.
    Outcome(std::monostate) {}
    /// The error that it ended with.
    Outcome(Failure failure) : state_(std::in_place_index<1>, std::move(failure)) {}
    /// The error that it ended with, as it was thrown.
    explicit Outcome(std::exception_ptr exception) : Outcome(Failure(std::move(exception))) {}

    /// has_value().
    explicit operator bool() const noexcept { return has_value(); }
    /// Whether the task has ended well.
    bool has_value() const noexcept { return state_.index() == 0; }
    /// Throws the error when there is one.
    void value() const {
        if (const Failure* failure = std::get_if<1>(&state_)) failure->rethrow();
    }
    void operator*() const { value(); }
    /// The error. Only when there is one: otherwise std::bad_variant_access.
    const Failure& error() const& { return std::get<1>(state_); }
    Failure error() && { return std::get<1>(std::move(state_)); }

  private:
    std::variant<std::monostate, Failure> state_;
};

}  // namespace mp
