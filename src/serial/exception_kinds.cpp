#include "serial/exception_kinds.hpp"

#include <any>
#include <filesystem>
#include <functional>
#include <future>
#include <ios>
#include <memory>
#include <new>
#include <optional>
#include <regex>
#include <stdexcept>
#include <system_error>
#include <typeinfo>
#include <variant>

namespace mp::serial {
namespace {

using Level = ExceptionLevel;

const std::error_category* find_category(const std::string& name) {
    for (const std::error_category* category : {&std::generic_category(), &std::system_category(),
                                                &std::iostream_category(), &std::future_category()})
        if (name == category->name()) return category;
    return nullptr;
}

/// A program's own category cannot be found by name: its code then counts as unknown, the text tells it.
std::error_code code_of(const Level& level) {
    if (const std::error_category* category = find_category(level.category)) return {level.code, *category};
    return {level.code, std::generic_category()};
}

std::string detail_of(const Level& level, std::size_t index) {
    return index < level.details.size() ? level.details[index] : std::string();
}

void note_code(const std::error_code& code, Level& level) {
    level.code = code.value();
    level.category = code.category().name();
}

template <class T>
T make(const Level& level) {
    if constexpr (std::is_same_v<T, std::system_error>) {
        return T(code_of(level), level.message);
    } else if constexpr (std::is_same_v<T, std::ios_base::failure>) {
        return T(level.message, code_of(level));
    } else if constexpr (std::is_same_v<T, std::filesystem::filesystem_error>) {
        const std::string first = detail_of(level, 0), second = detail_of(level, 1);
        if (!second.empty()) return T(level.message, first, second, code_of(level));
        if (!first.empty()) return T(level.message, first, code_of(level));
        return T(level.message, code_of(level));
    } else if constexpr (std::is_same_v<T, std::future_error>) {
        return T(static_cast<std::future_errc>(level.code));
    } else if constexpr (std::is_same_v<T, std::regex_error>) {
        return T(static_cast<std::regex_constants::error_type>(level.code));
    } else if constexpr (std::is_same_v<T, SystemError>) {
        return T(code_of(level), level.message);
    } else if constexpr (std::is_same_v<T, WorkerLost>) {
        WorkerLost::Details details;
        details.pid = static_cast<pid_t>(level.number);
        ExitStatus::How how = ExitStatus::Exited{level.code};
        if (level.code < 0) how = ExitStatus::Signalled{-level.code, false};
        details.status = ExitStatus(how);
        if (const std::string evidence = detail_of(level, 0); !evidence.empty())
            details.status.set_killed_for_memory(evidence);
        return T(std::move(details));
    } else if constexpr (std::is_constructible_v<T, const std::string&>) {
        return T(level.message);
    } else {
        return T();
    }
}

template <class T>
void note(const T& error, Level& level) {
    if constexpr (std::is_base_of_v<std::system_error, T> || std::is_same_v<T, std::future_error> ||
                  std::is_same_v<T, SystemError>)
        note_code(error.code(), level);
    if constexpr (std::is_same_v<T, std::regex_error>) level.code = static_cast<std::int32_t>(error.code());
    if constexpr (std::is_same_v<T, std::filesystem::filesystem_error>)
        level.details = {error.path1().string(), error.path2().string()};
    if constexpr (std::is_same_v<T, WorkerLost>) {
        level.code = error.status().exitcode();
        level.number = static_cast<std::uint64_t>(error.pid());
        level.details = {error.status().memory_evidence()};
        if (level.stack.frames.empty()) level.stack = os::raw_of(error.stack());
    }
}

struct Kind {
    bool (*describe)(const std::exception& error, Level& level);
    std::exception_ptr (*make)(const Level& level, RemoteError::Details details, const std::exception_ptr& nested);
};

template <class T>
constexpr Kind kind() {
    return {
        [](const std::exception& error, Level& level) {
            const auto* known = dynamic_cast<const T*>(&error);
            if (known) note(*known, level);
            return known != nullptr;
        },
        [](const Level& level, RemoteError::Details details, const std::exception_ptr& nested) {
            return detail::make_remote<T>(make<T>(level), std::move(details), nested);
        },
    };
}

/// Derived types before their bases: the first that matches is taken. TaskError comes first because an index of 0 says
/// that nothing better is known. Both sides are the same build, so the order may change.
constexpr Kind kinds[] = {
    kind<TaskError>(),
    kind<SystemError>(),
    kind<SerializationError>(),
    kind<WorkerLost>(),
    kind<TaskTimeout>(),
    kind<TaskCancelled>(),
    kind<PoolBroken>(),
    kind<Closed>(),
    kind<AuthenticationError>(),
    kind<UnsafeFork>(),
    kind<Error>(),
    kind<std::invalid_argument>(),
    kind<std::domain_error>(),
    kind<std::length_error>(),
    kind<std::out_of_range>(),
    kind<std::future_error>(),
    kind<std::logic_error>(),
    kind<std::range_error>(),
    kind<std::overflow_error>(),
    kind<std::underflow_error>(),
    kind<std::regex_error>(),
    kind<std::filesystem::filesystem_error>(),
    kind<std::ios_base::failure>(),
    kind<std::system_error>(),
    kind<std::runtime_error>(),
    kind<std::bad_array_new_length>(),
    kind<std::bad_alloc>(),
    kind<std::bad_any_cast>(),
    kind<std::bad_cast>(),
    kind<std::bad_typeid>(),
    kind<std::bad_exception>(),
    kind<std::bad_function_call>(),
    kind<std::bad_weak_ptr>(),
    kind<std::bad_optional_access>(),
    kind<std::bad_variant_access>(),
};

}  // namespace

void describe(const std::exception& error, ExceptionLevel& level) {
    for (std::size_t i = 0; i < std::size(kinds); ++i) {
        if (!kinds[i].describe(error, level)) continue;
        level.kind = static_cast<std::uint16_t>(i);
        return;
    }
    level.kind = 0;
}

std::exception_ptr make_known(const ExceptionLevel& level, RemoteError::Details details,
                              const std::exception_ptr& nested) {
    const Kind& kind = kinds[level.kind < std::size(kinds) ? level.kind : 0];
    return kind.make(level, std::move(details), nested);
}

}  // namespace mp::serial
