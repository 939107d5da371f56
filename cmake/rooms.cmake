# SPDX-License-Identifier: BSD-2-Clause
# The rooms of the core, from the ground up.  A room may include itself and the
# rooms before it in this list.  That is enforced here: each room is compiled
# against a view, a folder of links to the rooms it may see and nothing else.
set(QUIRE_ROOMS base sync phys tree pgtable tlb sharing rmap file mm thp reclaim)

set(seen "")
foreach(room IN LISTS QUIRE_ROOMS)
  list(APPEND seen ${room})
  set(view ${CMAKE_BINARY_DIR}/views/${room})
  file(MAKE_DIRECTORY ${view})
  foreach(below IN LISTS seen)
    if(IS_DIRECTORY ${CMAKE_SOURCE_DIR}/core/${below})
      file(CREATE_LINK ${CMAKE_SOURCE_DIR}/core/${below} ${view}/${below} SYMBOLIC)
    endif()
  endforeach()
endforeach()

# quire_core(<variant> MACHINE threads|explore GEOMETRY 4k|64k|tiny [COUNT])
# makes the static library quire_<variant>: every room and the machine.  COUNT:
# with cost counters whatever the preset says.  It and the explore machine's can
# judge the `sharing` decision (rmap/score.c).
function(quire_core variant)
  cmake_parse_arguments(A "COUNT" "MACHINE;GEOMETRY" "" ${ARGN})
  add_library(quire_config_${variant} INTERFACE)
  target_link_libraries(quire_config_${variant} INTERFACE quire_flags)
  target_include_directories(quire_config_${variant} INTERFACE
    ${CMAKE_SOURCE_DIR}/include ${CMAKE_SOURCE_DIR}/machine/${A_MACHINE}/include)
  if(A_COUNT AND NOT QUIRE_COUNT_COSTS)
    target_compile_definitions(quire_config_${variant} INTERFACE QUIRE_COUNT_COSTS=1)
  endif()
  if(A_COUNT OR A_MACHINE STREQUAL "explore")
    target_compile_definitions(quire_config_${variant} INTERFACE QUIRE_SCORE_SHARING=1)
  endif()
  if(A_MACHINE STREQUAL "explore")
    # Its reports say where the core called it: the return address.
    target_compile_options(quire_config_${variant} INTERFACE -fno-optimize-sibling-calls)
  endif()
  if(A_GEOMETRY STREQUAL "64k")
    target_compile_definitions(quire_config_${variant} INTERFACE
      QUIRE_PAGE_SHIFT=16 QUIRE_LEVEL_BITS=13 QUIRE_LEVELS=3)
  elseif(A_GEOMETRY STREQUAL "tiny")
    target_compile_definitions(quire_config_${variant} INTERFACE
      QUIRE_PAGE_SHIFT=6 QUIRE_LEVEL_BITS=2 QUIRE_LEVELS=4 QUIRE_MAPLE_SLOTS=4)
  endif()

  add_library(quire_${variant} STATIC EXCLUDE_FROM_ALL ${CMAKE_SOURCE_DIR}/cmake/anchor.c)
  target_link_libraries(quire_${variant} PUBLIC quire_config_${variant})
  foreach(room IN LISTS QUIRE_ROOMS)
    file(GLOB sources CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/core/${room}/*.c)
    if(sources)
      add_library(room_${room}_${variant} OBJECT EXCLUDE_FROM_ALL ${sources})
      target_compile_options(room_${room}_${variant} PRIVATE -ffreestanding)
      target_include_directories(room_${room}_${variant} PRIVATE ${CMAKE_BINARY_DIR}/views/${room})
      target_link_libraries(room_${room}_${variant} PRIVATE quire_config_${variant})
      target_sources(quire_${variant} PRIVATE $<TARGET_OBJECTS:room_${room}_${variant}>)
    endif()
  endforeach()

  # The machine sees the public headers, itself and machine/common; not the core.
  file(GLOB sources CONFIGURE_DEPENDS
    ${CMAKE_SOURCE_DIR}/machine/common/*.c ${CMAKE_SOURCE_DIR}/machine/${A_MACHINE}/*.c
    ${CMAKE_SOURCE_DIR}/machine/${A_MACHINE}/*.S)
  if(sources)
    add_library(machine_${variant} OBJECT EXCLUDE_FROM_ALL ${sources})
    target_include_directories(machine_${variant} PRIVATE ${CMAKE_SOURCE_DIR}/machine)
    target_link_libraries(machine_${variant} PRIVATE quire_config_${variant})
    target_sources(quire_${variant} PRIVATE $<TARGET_OBJECTS:machine_${variant}>)
  endif()
  if(A_MACHINE STREQUAL "threads")
    target_link_libraries(quire_${variant} PUBLIC pthread urcu-memb)
  endif()

  # For white-box tests and benchmarks: the library plus all rooms' headers.
  add_library(quire_inside_${variant} INTERFACE)
  target_link_libraries(quire_inside_${variant} INTERFACE quire_${variant})
  target_include_directories(quire_inside_${variant} INTERFACE
    ${CMAKE_SOURCE_DIR}/core ${CMAKE_SOURCE_DIR}/machine)
endfunction()
