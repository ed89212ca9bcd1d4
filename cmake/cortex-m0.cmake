# Cortex-M0 without an operating system or a C library beyond mem*.
set(CMAKE_SYSTEM_NAME Generic)
set(CMAKE_SYSTEM_PROCESSOR arm)
set(CMAKE_C_COMPILER arm-none-eabi-gcc)
set(CMAKE_TRY_COMPILE_TARGET_TYPE STATIC_LIBRARY)
# Without -fno-jump-tables a switch calls a helper of libgcc (__gnu_thumb1_case_*).
set(CMAKE_C_FLAGS_INIT
  "-mcpu=cortex-m0 -mthumb -ffreestanding -ffunction-sections -fdata-sections -DCOPSE_SMALL -DCOPSE_MESSAGE_OPTIONS=16 -fstack-usage -fno-jump-tables")
set(CMAKE_C_FLAGS_MINSIZEREL_INIT "-Os -g")
