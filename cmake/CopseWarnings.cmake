# Warnings, sanitizers and include path of every target of ours.
add_library(copse_options INTERFACE)
target_include_directories(copse_options INTERFACE ${CMAKE_SOURCE_DIR}/include)
target_compile_definitions(copse_options INTERFACE COPSE_RELEASE="${PROJECT_VERSION}")
target_compile_options(copse_options INTERFACE
  -Wall -Wextra -Werror -Wshadow -Wundef -Wstrict-prototypes -Wmissing-prototypes -Wpointer-arith
  -Wwrite-strings -Wvla -Wcast-qual -Wformat=2 -Wconversion -Wno-sign-conversion -fno-common
  -fmacro-prefix-map=${CMAKE_SOURCE_DIR}/=)
if(COPSE_SANITIZE)
  add_compile_options(-fsanitize=${COPSE_SANITIZE} -fno-omit-frame-pointer -fno-sanitize-recover=all)
  add_link_options(-fsanitize=${COPSE_SANITIZE})
  if(CMAKE_C_COMPILER_ID STREQUAL "GNU")
    # Instrumented code makes gcc see values that cannot occur; the other trees have these warnings.
    target_compile_options(copse_options INTERFACE -Wno-conversion -Wno-format-truncation -Wno-maybe-uninitialized
      -Wno-stringop-overflow -Wno-array-bounds)
  endif()
endif()
if(COPSE_FUZZ)
  add_compile_options(-fsanitize=fuzzer-no-link)
endif()
