from slots.pick import pick

pick(["b"])
