/// \file
/// A task's own exception, as the caller meets it.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <exception>
#include <iosfwd>
#include <memory>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>

#include <multiprocessing/errors.hpp>
#include <multiprocessing/export.hpp>
#include <multiprocessing/stack.hpp>

namespace mp {

/// What is known of an exception that was thrown in a worker. It arrives as its own type and as this at once, so both of
/// these see it:
/// \code
/// try { pool.apply(parse, file); }
/// catch (const mp::RemoteError& e) { std::cerr << e << '\n'; }          // where, in which task and process
/// try { pool.apply(parse, file); }
/// catch (const std::invalid_argument& e) { std::cerr << e.what(); }     // as if parse had been called here
/// \endcode
/// Deliberately not a std::exception: the object would then be one twice over, and `catch (const std::exception&)`
/// would miss it. Own type: the standard exceptions, those of this library, and registered ones
/// (register_exception.hpp). Of another type: the nearest standard type it derives from, otherwise TaskError; a final
/// class cannot be derived from and arrives as itself, without a RemoteError. Cheap to copy.
class MP_EXPORT RemoteError {
  public:
    /// All that travels from the worker.
    struct Details {
        std::string type_name{};  ///< demangled name of the type that was thrown
        std::string message{};    ///< its what(); for what is no std::exception its value, as in `int: 42`
        Stack stack{};            ///< where it was thrown, in the worker
        TaskInfo task{};          ///< which task threw it
        pid_t pid = 0;            ///< in which process; 0 when unknown
    };

    /// For tests and engines: as if it had come from a worker.
    explicit RemoteError(Details details);
    RemoteError(const RemoteError&) = default;
    RemoteError& operator=(const RemoteError&) = default;
    virtual ~RemoteError();

    /// Of the exception that was thrown: `parse_error`, with its namespaces.
    const std::string& type_name() const noexcept { return details_->type_name; }
    /// Its what(); empty for what is no std::exception.
    const std::string& message() const noexcept { return details_->message; }
    /// message(): what the exception's own what() said in the worker.
    const char* what() const noexcept { return details_->message.c_str(); }
    /// Where it was thrown, innermost call first; empty when that is not known.
    const Stack& stack() const noexcept { return details_->stack; }
    /// The task that threw it.
    const TaskInfo& task() const noexcept { return details_->task; }
    /// Position of the task in the input of its call; none for a submitted one.
    std::optional<std::uint64_t> task_index() const noexcept { return details_->task.index; }
    /// The label of the task's call; empty without one.
    const std::string& label() const noexcept { return details_->task.label; }
    /// The name of what was called; empty when unknown.
    const std::string& function() const noexcept { return details_->task.function; }
    /// 1 for the first try.
    int attempt() const noexcept { return details_->task.attempt; }
    /// The process that threw it.
    pid_t pid() const noexcept { return details_->pid; }
    /// What it was thrown on top of (std::throw_with_nested): again a RemoteError, caught with std::rethrow_exception.
    /// Null when there is nothing. std::rethrow_if_nested works as well.
    std::exception_ptr nested() const noexcept { return nested_; }

    /// `parse(#7 "c.pdf", attempt 1): std::invalid_argument in worker 8123: bad header`
    std::string to_string() const;

  protected:
    void set_nested(std::exception_ptr nested) noexcept { nested_ = std::move(nested); }

  private:
    std::shared_ptr<const Details> details_;
    std::exception_ptr nested_;
};

/// Writes to_string(), the stack indented below it, and what it was nested on; no newline at the end.
MP_EXPORT std::ostream& operator<<(std::ostream& out, const RemoteError& error);

/// An exception of type T from a worker. Catch T or RemoteError, not this.
template <class T>
class remote final : public T, public RemoteError {
  public:
    remote(T value, Details details) : T(std::move(value)), RemoteError(std::move(details)) {}
    /// The text as it was in the worker.
    const char* what() const noexcept { return RemoteError::what(); }
};

template <class T>
std::ostream& operator<<(std::ostream& out, const remote<T>& error) {
    return out << static_cast<const RemoteError&>(error);
}

namespace detail {

/// remote<T> thrown on top of another exception.
template <class T>
class nested_remote final : public T, public RemoteError, public std::nested_exception {
  public:
    /// To be called while the exception below is handled.
    nested_remote(T value, Details details) : T(std::move(value)), RemoteError(std::move(details)) {
        set_nested(nested_ptr());
    }
    const char* what() const noexcept { return RemoteError::what(); }
};

template <class T>
std::exception_ptr make_remote(T value, RemoteError::Details details, const std::exception_ptr& nested) {
    if constexpr (!std::is_class_v<T> || std::is_final_v<T>) {
        return std::make_exception_ptr(std::move(value));
    } else if constexpr (std::is_base_of_v<std::nested_exception, T>) {
        return std::make_exception_ptr(remote<T>(std::move(value), std::move(details)));
    } else {
        if (!nested) return std::make_exception_ptr(remote<T>(std::move(value), std::move(details)));
        try {
            std::rethrow_exception(nested);
        } catch (...) {  // std::nested_exception takes what is being handled
            return std::make_exception_ptr(nested_remote<T>(std::move(value), std::move(details)));
        }
    }
}

}  // namespace detail
}  // namespace mp
