/// \file
/// How a function is named between processes of one program, without macro and without registry.
///
/// Each combination of an entry's kind and types instantiates one constant *record* in the module (program, library,
/// plugin) that uses it. What travels is where the record lies: build-id of the module, offset in it, and a hash of the
/// types. The receiver checks all three before it calls through the record. A bare code address would not do: linkers
/// that fold identical code give two callables one address. See docs/design/function-identity.md.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include <multiprocessing/detail/serial_access.hpp>
#include <multiprocessing/export.hpp>

namespace mp::detail {

/// FNV-1a, 64 bits.
constexpr std::uint64_t hash_text(std::string_view text) {
    std::uint64_t hash = 0xcbf29ce484222325U;
    for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3U;
    return hash;
}

/// A number for a list of types: the same throughout one build, whatever the order of anything.
template <class... Types>
constexpr std::uint64_t hash_types() {
    return hash_text(__PRETTY_FUNCTION__);
}

/// The part of a record that does not depend on the signature. Lives in read-only memory of the module it names.
struct EntryRecord {
    static constexpr std::uint64_t expected_magic = 0x3165'6372'7970'6d7fU;  ///< "\x7fmpyrce1"

    std::uint64_t magic;
    std::uint64_t kind_hash;  ///< of Kind::name: the same whichever compiler made the library and the program
    std::uint64_t type_hash;  ///< of kind, code's template arguments and types; made and compared by one build only
};

template <class Signature>
struct Entry : EntryRecord {
    Signature* code;
};

/// An entry's kind says how its code is called:
///     struct TaskKind {
///         using Signature = void(serial::Reader& in, serial::Writer& out);
///         static constexpr std::string_view name = "task";   // distinct for each kind
///     };
template <class Kind>
concept entry_kind = requires { typename Kind::Signature; std::string_view(Kind::name); };

/// The record of one entry: `identify(entry_record<TaskKind, &run_task<F, Args>, F, Args>)`. Hidden, so that each module
/// has and names its own, and a plugin stays unloadable.
template <entry_kind Kind, typename Kind::Signature* Code, class... Types>
[[gnu::visibility("hidden")]] inline constexpr Entry<typename Kind::Signature> entry_record{
    {EntryRecord::expected_magic, hash_text(Kind::name), hash_types<Kind, Types...>()}, Code};

/// Where code lies: which build of which module, so that a worker can find it, or load it. Or, for code that was generated
/// at run time, in which memory image: that of one process and of those that were forked from it since.
struct ModuleId {
    std::uint8_t size = 0;                  ///< bytes of build_id in use; 0: no module
    std::array<std::byte, 32> build_id{};   ///< of a memory image: its token
    std::string path;                       ///< where the sender has it; empty for the program itself
    std::uint64_t generated = 0;            ///< 0: a module; otherwise the so-many-th code that was named in that image

    bool operator==(const ModuleId&) const = default;
};

/// Names an entry record for any process of the same program, or that can load the same plugin; one that was generated at
/// run time, for forks of this process. A value; copying costs one string.
struct EntryId {
    ModuleId module;
    std::uint64_t offset = 0;     ///< of the record, from the module's base address; in a memory image from 0
    std::uint64_t type_hash = 0;

    bool operator==(const EntryId&) const = default;
};

/// Names the record; throws mp::Error for a module that was linked without build-id. Any thread; about 20 ns.
MP_EXPORT EntryId identify(const EntryRecord& record);

/// The record of that name in this process, loading its library when it is not loaded here. Throws mp::Error when the
/// worker runs another build, the library cannot be loaded, or there is no record of that kind and type at that place; and
/// for a function that was generated at run time, in any process that is no later fork of the one that named it. Any
/// thread; about 40 ns when the module is known.
MP_EXPORT const EntryRecord& resolve(const EntryId& id, std::uint64_t kind_hash);

/// The typed form: `resolve<TaskKind>(id).code(reader, writer)`.
template <entry_kind Kind>
const Entry<typename Kind::Signature>& resolve(const EntryId& id) {
    return static_cast<const Entry<typename Kind::Signature>&>(resolve(id, hash_text(Kind::name)));
}

/// Whether the record lies in a program or library, and not in code that was generated at run time.
MP_EXPORT bool lies_in_module(const EntryRecord& record);

/// A code address as (module, offset); all empty for null. Code that was generated at run time is named as records are.
/// Throws mp::Error for code in a module without build-id.
struct CodeId {
    ModuleId module;
    std::uint64_t offset = 0;
};
MP_EXPORT CodeId identify_code(void (*code)());
/// The reverse; the address lies in an executable segment of that module, or mp::Error is thrown.
MP_EXPORT void (*resolve_code(const CodeId& id))();

}  // namespace mp::detail

namespace mp::serial {

/// \cond internal
template <>
struct codec<mp::detail::EntryId> {
    MP_EXPORT static void encode(Writer& writer, const mp::detail::EntryId& id);
    MP_EXPORT static mp::detail::EntryId decode(Reader& reader);
};
template <>
struct codec<mp::detail::CodeId> {
    MP_EXPORT static void encode(Writer& writer, const mp::detail::CodeId& id);
    MP_EXPORT static mp::detail::CodeId decode(Reader& reader);
};
/// \endcond

}  // namespace mp::serial
