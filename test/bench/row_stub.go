package main

func scaleRow(b *bench) error     { return nil }
func bytesRow(b *bench) error     { return nil }
func fullRow(b *bench) error      { return nil }
func memoryRow(b *bench) error    { return nil }
func sustainedRow(b *bench) error { return nil }
func ackRow(b *bench) error       { return nil }
func edsRow(b *bench) error       { return nil }
