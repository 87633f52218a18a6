#include "serial/exception_record.hpp"

#include <unistd.h>

#include <algorithm>
#include <cstddef>
#include <sstream>

#include "os/function_name.hpp"
#include "os/throw_stack.hpp"
#include "serial/exception_kinds.hpp"
#include "serial/exception_registry.hpp"

namespace mp::serial {
namespace {

constexpr std::size_t max_levels = 32;
constexpr std::size_t max_text = 1 << 20;  // a text is for people; the rest of a longer one is dropped

std::string bounded(std::string text) {
    if (text.size() > max_text) text.resize(max_text);
    return text;
}

template <class T>
std::string text_of(const T& value) {
    std::ostringstream out;
    out << value;
    return out.str();
}

template <class T>
bool describe_value(const std::exception_ptr& exception, ExceptionLevel& level) {
    try {
        std::rethrow_exception(exception);
    } catch (const T& value) {
        level.message = bounded(level.type_name + ": " + text_of(value));
        return true;
    } catch (...) {
        return false;
    }
}

template <>
bool describe_value<const char*>(const std::exception_ptr& exception, ExceptionLevel& level) {
    try {
        std::rethrow_exception(exception);
    } catch (const char* text) {
        level.message = bounded(level.type_name + ": " + (text ? text : "null"));
        return true;
    } catch (...) {
        return false;
    }
}

template <class... T>
bool describe_values(const std::exception_ptr& exception, ExceptionLevel& level) {
    return (describe_value<T>(exception, level) || ...);
}

/// What a remote error knows better than this process: a pool within a worker passes on what its own worker threw.
void take_over(const RemoteError& error, ExceptionLevel& level) {
    level.type_name = error.type_name();
    level.message = bounded(error.message());
    level.stack = os::raw_of(error.stack());
}

/// Fills `level` from `exception`; returns what it was nested on.
std::exception_ptr describe_level(const std::exception_ptr& exception, ExceptionLevel& level) {
    level.type_name = os::type_name(*exception.__cxa_exception_type());
    level.message = level.type_name;
    level.stack = os::throw_stack(exception);
    pack_registered(exception, level);
    std::exception_ptr below;
    try {
        std::rethrow_exception(exception);
    } catch (const std::exception& error) {
        if (const char* text = error.what()) level.message = bounded(text);
        describe(error, level);
        if (const auto* remote_error = dynamic_cast<const RemoteError*>(&error)) take_over(*remote_error, level);
        if (const auto* nested = dynamic_cast<const std::nested_exception*>(&error)) below = nested->nested_ptr();
    } catch (const RemoteError& error) {
        take_over(error, level);
        below = error.nested();
    } catch (const std::nested_exception& nested) {
        below = nested.nested_ptr();
    } catch (...) {
        describe_values<bool, char, int, unsigned, long, unsigned long, long long, unsigned long long, float, double,
                        std::string, std::string_view, const char*, std::error_code>(exception, level);
    }
    return below;
}

}  // namespace

ExceptionRecord capture_exception(const std::exception_ptr& exception) {
    ExceptionRecord record;
    record.pid = ::getpid();
    for (std::exception_ptr next = exception; next && record.levels.size() < max_levels;) {
        record.levels.emplace_back();
        next = describe_level(next, record.levels.back());
    }
    if (record.levels.empty()) {
        record.levels.emplace_back();
        record.levels.back().type_name = "no exception";
    }
    return record;
}

std::exception_ptr to_exception(const ExceptionRecord& record, const TaskInfo& task) {
    std::exception_ptr exception;
    const std::size_t count = std::min(record.levels.size(), max_levels);
    for (std::size_t i = count; i-- > 0;) {  // the innermost first: each is nested on the one before
        const ExceptionLevel& level = record.levels[i];
        RemoteError::Details details{.type_name = level.type_name,
                                     .message = level.message,
                                     .stack = os::make_stack(level.stack),
                                     .task = task,
                                     .pid = record.pid};
        if (std::exception_ptr registered = make_registered(level, details, exception))
            exception = registered;
        else
            exception = make_known(level, std::move(details), exception);
    }
    if (!exception) exception = std::make_exception_ptr(TaskError("an exception of which nothing is known"));
    return exception;
}

}  // namespace mp::serial
