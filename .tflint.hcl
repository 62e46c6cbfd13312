# For templates/terraform: every rule that comes with tflint. Its rules for AWS are a plugin that it would download.
plugin "terraform" {
  enabled = true
  preset  = "all"
}

# A module is one generated file, which is taken as it is.
rule "terraform_standard_module_structure" {
  enabled = false
}
