// A kind of record that only tests have, and what resolving one says.
#pragma once

#include <string>
#include <string_view>

#include <multiprocessing/detail/entry.hpp>
#include <multiprocessing/errors.hpp>

struct TestKind {
    using Signature = int(int);
    static constexpr std::string_view name = "test";
};

/// Why the name is not resolved, or "accepted".
inline std::string refusal(const mp::detail::EntryId& id) {
    try {
        mp::detail::resolve<TestKind>(id);
    } catch (const mp::Error& error) {
        return error.what();
    }
    return "accepted";
}
