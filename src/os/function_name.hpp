// Names of functions as people write them.
#pragma once

#include <string>
#include <typeinfo>

namespace mp::os {

/// The demangled name, or `symbol` itself when it is not mangled.
std::string demangle(const char* symbol);

/// The demangled name of a type; `std::string` for what is spelled longer.
std::string type_name(const std::type_info& type);

/// `void table::read_row<int>(table::Row const&, int) const [clone .cold]` becomes `table::read_row<int>`.
std::string without_signature(std::string demangled);

/// A frame of the way from the start of a thread to the user's function: start-up code, the library, std::invoke.
bool is_internal_function(const std::string& name);

/// A function of the C or C++ library, or a template of it: what one calls, not what one wrote.
bool is_runtime_function(const std::string& name, const std::string& module);

}  // namespace mp::os
