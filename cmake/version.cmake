# SPDX-License-Identifier: BSD-2-Clause
# QUIRE_VERSION: the project's, and the revision where this is a git checkout, as
# it was when the build was configured.
set(QUIRE_VERSION ${PROJECT_VERSION})
find_package(Git QUIET)
if(GIT_FOUND)
  execute_process(COMMAND ${GIT_EXECUTABLE} -C ${CMAKE_SOURCE_DIR} describe --always --tags --dirty
    OUTPUT_VARIABLE revision OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET RESULT_VARIABLE failed)
  if(NOT failed AND revision)
    set(QUIRE_VERSION "${PROJECT_VERSION} (${revision})")
  endif()
endif()
