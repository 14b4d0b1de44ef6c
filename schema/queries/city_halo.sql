SELECT halo_m, zone FROM tongguan.city
