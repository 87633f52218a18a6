/// \file
/// What the library exports. Everything else is hidden.
#pragma once

#define MP_EXPORT [[gnu::visibility("default")]]
