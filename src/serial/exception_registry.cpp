#include "serial/exception_registry.hpp"

#include <multiprocessing/register_exception.hpp>

#include <atomic>
#include <cstring>

namespace mp {
namespace {

// Grows before main, is only read afterwards. A list and not a container: static initialisers of other files add to it
// before anything here is constructed.
constinit std::atomic<detail::ExceptionType*> first_type{nullptr};

}  // namespace

namespace detail {

void add_exception_type(ExceptionType& type) noexcept {
    type.next = first_type.load(std::memory_order_relaxed);
    while (!first_type.compare_exchange_weak(type.next, &type, std::memory_order_release, std::memory_order_relaxed)) {
    }  // ends: each round lost is one that another thread won
}

}  // namespace detail

namespace serial {
namespace {

bool pack_as(const mp::detail::ExceptionType& type, const std::exception_ptr& exception, ExceptionLevel& level) {
    Writer writer;
    try {
        if (!type.pack(exception, writer)) return false;
    } catch (...) {  // its serialisation failed: text and nearest standard type remain
        return false;
    }
    if (!writer.handles().empty()) return false;  // descriptors cannot travel with an error
    level.registered = type.type.name();
    level.value.assign(writer.bytes().begin(), writer.bytes().end());
    return true;
}

}  // namespace

void pack_registered(const std::exception_ptr& exception, ExceptionLevel& level) {
    const std::type_info& thrown = *exception.__cxa_exception_type();
    // Its own type before a base of it.
    for (auto* type = first_type.load(std::memory_order_acquire); type; type = type->next)
        if (type->type == thrown && pack_as(*type, exception, level)) return;
    for (auto* type = first_type.load(std::memory_order_acquire); type; type = type->next)
        if (pack_as(*type, exception, level)) return;
}

std::exception_ptr make_registered(const ExceptionLevel& level, const RemoteError::Details& details,
                                   const std::exception_ptr& nested) {
    if (level.registered.empty()) return nullptr;
    for (auto* type = first_type.load(std::memory_order_acquire); type; type = type->next) {
        if (level.registered != type->type.name()) continue;
        try {
            Reader reader(level.value);
            return type->make(reader, details, nested);
        } catch (...) {  // damaged, or its constructor threw: the nearest standard type instead
            return nullptr;
        }
    }
    return nullptr;
}

}  // namespace serial
}  // namespace mp
