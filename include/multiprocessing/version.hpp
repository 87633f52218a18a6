/// \file
/// The version of these headers. CMake, find_package and pkg-config read theirs from here.
#pragma once

/// Of the headers, by semantic versioning: MAJOR.MINOR.PATCH.
#define MP_VERSION_MAJOR 0
#define MP_VERSION_MINOR 1
#define MP_VERSION_PATCH 0

/// major * 10000 + minor * 100 + patch: for comparisons in `#if`.
#define MP_VERSION (MP_VERSION_MAJOR * 10000 + MP_VERSION_MINOR * 100 + MP_VERSION_PATCH)
