/// \file
/// Exception types of one's own that arrive from a worker as what they were.
#pragma once

#include <exception>
#include <string>
#include <type_traits>
#include <typeinfo>
#include <utility>

#include <multiprocessing/export.hpp>
#include <multiprocessing/remote_error.hpp>
#include <multiprocessing/serialize.hpp>

namespace mp {

namespace detail {

/// What a registered type can do; one static object for each.
struct ExceptionType {
    const std::type_info& type;
    /// Packs the exception's value; false when it is of another type.
    bool (*pack)(const std::exception_ptr& exception, serial::Writer& writer);
    std::exception_ptr (*make)(serial::Reader& reader, RemoteError::Details details, const std::exception_ptr& nested);
    ExceptionType* next = nullptr;
};

/// `type` must live as long as the program.
MP_EXPORT void add_exception_type(ExceptionType& type) noexcept;

template <class T>
concept made_from_text = std::is_constructible_v<T, const std::string&> || std::is_constructible_v<T, const char*>;

template <class T>
bool pack_exception(const std::exception_ptr& exception, serial::Writer& writer) {
    try {
        std::rethrow_exception(exception);
    } catch (const T& value) {
        if constexpr (serial::serializable<T>) serial::encode(writer, value);
        return true;
    } catch (...) {
        return false;
    }
}

template <class T>
std::exception_ptr make_exception(serial::Reader& reader, RemoteError::Details details,
                                  const std::exception_ptr& nested) {
    if constexpr (serial::serializable<T>) {
        return make_remote<T>(serial::decode<T>(reader), std::move(details), nested);
    } else {
        T value(details.message.c_str());
        return make_remote<T>(std::move(value), std::move(details), nested);
    }
}

}  // namespace detail

/// Makes exceptions of class T, thrown in a worker, arrive as `remote<T>`: caught as T and as RemoteError. What T holds
/// comes along when the codec can pack it (a `serialize` member, or an aggregate: serialize.hpp); otherwise T must be
/// constructible from a string, and is made again from its what(). An exception derived from T that is not registered
/// itself arrives as T. A final class cannot be derived from and arrives as itself, without a RemoteError; its what(),
/// and that of every registered class, must not be final. To be called in the caller and in its workers alike, so best
/// before main:
/// \code
/// static const bool registered = mp::register_exception<ParseError>();
/// \endcode
/// Any thread; more than once is fine. Returns true. The code of T must not be unloaded.
template <class T>
bool register_exception() {
    static_assert(std::is_class_v<T> && !std::is_abstract_v<T> && std::is_copy_constructible_v<T>,
                  "multiprocessing: an exception that is registered must be a copyable class");
    static_assert(serial::serializable<T> || detail::made_from_text<T>,
                  "multiprocessing: an exception that is registered must be serialisable or constructible from a "
                  "string; give it `template<class Archive> void serialize(Archive& ar) { ar(members...); }` and a "
                  "default constructor");
    static detail::ExceptionType type{typeid(T), detail::pack_exception<T>, detail::make_exception<T>};
    static const bool added = (detail::add_exception_type(type), true);
    return added;
}

}  // namespace mp
